// trivy-db LIST LAYOUT TAG: writes the vulnerabilities of a list, in JSON, as a
// database of the form that Trivy downloads: an OCI layout with one artifact, whose
// one layer is a tar of a bbolt file and of its metadata. The same list gives the
// same digest.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.etcd.io/bbolt"
)

// vulnerability is one entry of the list.
type vulnerability struct {
	ID       string `json:"id"`
	Title    string `json:"title"`
	Severity string `json:"severity"`
	// Ecosystem is Trivy's name for where packages are from: "pip", "npm", "debian 12".
	Ecosystem string `json:"ecosystem"`
	// Package is a source package where the ecosystem is a distribution.
	Package string `json:"package"`
	// Fixed is the first version without it. Without that, every version has it.
	Fixed string `json:"fixed"`
}

var severities = map[string]int{"UNKNOWN": 0, "LOW": 1, "MEDIUM": 2, "HIGH": 3, "CRITICAL": 4}

// Who says so. Trivy takes a severity from the source that names the package.
const source = "switchyard"

func main() {
	if len(os.Args) != 4 {
		fail(fmt.Errorf("usage: trivy-db LIST LAYOUT TAG"))
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "trivy-db:", err)
	os.Exit(1)
}

func run(list, layout, tag string) error {
	vulnerabilities, err := read(list)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "trivy-db-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	path := filepath.Join(work, "trivy.db")
	if err := write(path, vulnerabilities); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	database, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return publish(layout, tag, database)
}

func read(list string) ([]vulnerability, error) {
	text, err := os.ReadFile(list)
	if err != nil {
		return nil, err
	}
	var vulnerabilities []vulnerability
	if err := json.Unmarshal(text, &vulnerabilities); err != nil {
		return nil, fmt.Errorf("%s: %w", list, err)
	}
	for _, v := range vulnerabilities {
		if _, known := severities[v.Severity]; !known || v.ID == "" || v.Package == "" || v.Ecosystem == "" {
			return nil, fmt.Errorf("%s: not complete, or no severity of Trivy's: %+v", list, v)
		}
	}
	return vulnerabilities, nil
}

// write puts them where Trivy looks, by schema 2 of github.com/aquasecurity/trivy-db:
// what is known of each id in one bucket, what it affects in one bucket for each
// ecosystem with one within it for each package.
func write(path string, vulnerabilities []vulnerability) error {
	database, err := bbolt.Open(path, 0o644, nil)
	if err != nil {
		return err
	}
	defer database.Close()
	return database.Update(func(tx *bbolt.Tx) error {
		for _, v := range vulnerabilities {
			if err := v.put(tx); err != nil {
				return fmt.Errorf("%s: %w", v.ID, err)
			}
		}
		return nil
	})
}

func (v vulnerability) put(tx *bbolt.Tx) error {
	detail := map[string]any{
		"Title":          v.Title,
		"Severity":       v.Severity,
		"VendorSeverity": map[string]int{source: severities[v.Severity]},
	}
	if err := put(tx, detail, "vulnerability", v.ID); err != nil {
		return err
	}
	bucket, advisory := v.advisory()
	if err := put(tx, advisory, bucket, v.Package, v.ID); err != nil {
		return err
	}
	origin := map[string]string{"ID": source, "Name": "Switchyard's end-to-end tests", "URL": "https://switchyard.dev"}
	return put(tx, origin, "data-source", bucket)
}

// advisory returns the ecosystem's bucket and what it says about the package. For
// languages a bucket is named after a source too, and versions are ranges.
func (v vulnerability) advisory() (string, map[string]any) {
	switch {
	case !strings.Contains(v.Ecosystem, " ") && v.Fixed != "":
		return v.Ecosystem + "::" + source, map[string]any{
			"VulnerableVersions": []string{"<" + v.Fixed},
			"PatchedVersions":    []string{v.Fixed},
		}
	case !strings.Contains(v.Ecosystem, " "):
		return v.Ecosystem + "::" + source, map[string]any{"VulnerableVersions": []string{">=0"}}
	case v.Fixed != "":
		return v.Ecosystem, map[string]any{"FixedVersion": v.Fixed}
	default:
		return v.Ecosystem, map[string]any{}
	}
}

// put stores a value as JSON under the last of the names; the others are buckets.
func put(tx *bbolt.Tx, value any, names ...string) error {
	bucket, err := tx.CreateBucketIfNotExists([]byte(names[0]))
	if err != nil {
		return err
	}
	for _, name := range names[1 : len(names)-1] {
		if bucket, err = bucket.CreateBucketIfNotExists([]byte(name)); err != nil {
			return err
		}
	}
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return bucket.Put([]byte(names[len(names)-1]), text)
}
