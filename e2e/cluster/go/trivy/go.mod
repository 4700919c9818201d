// Builds Trivy v0.68.1.
module switchyard.dev/ground/trivy

go 1.26.0

tool github.com/aquasecurity/trivy/cmd/trivy

require github.com/aquasecurity/trivy v0.68.1
