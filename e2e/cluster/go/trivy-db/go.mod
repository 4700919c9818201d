// Builds the program here, which writes a vulnerability database for Trivy.
module switchyard.dev/ground/trivy-db

go 1.26.0

tool switchyard.dev/ground/trivy-db

require go.etcd.io/bbolt v1.4.3

require golang.org/x/sys v0.38.0 // indirect
