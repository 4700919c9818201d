package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// descriptor is the OCI image specification's.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// publish writes the layout. Trivy insists on one layer of this type with a title.
func publish(layout, tag string, database []byte) error {
	layer, err := archive(database)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(layout, "blobs", "sha256"), 0o755); err != nil {
		return err
	}
	blob, err := store(layout, "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip", layer)
	if err != nil {
		return err
	}
	blob.Annotations = map[string]string{"org.opencontainers.image.title": "db.tar.gz"}
	config, err := store(layout, "application/vnd.aquasec.trivy.config.v1+json", []byte("{}"))
	if err != nil {
		return err
	}
	manifest, err := encode(map[string]any{
		"schemaVersion": 2,
		"mediaType":     "application/vnd.oci.image.manifest.v1+json",
		"config":        config,
		"layers":        []descriptor{blob},
	})
	if err != nil {
		return err
	}
	artifact, err := store(layout, "application/vnd.oci.image.manifest.v1+json", manifest)
	if err != nil {
		return err
	}
	artifact.Annotations = map[string]string{"org.opencontainers.image.ref.name": tag}
	index, err := encode(map[string]any{"schemaVersion": 2, "manifests": []descriptor{artifact}})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(layout, "index.json"), index, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(layout, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644)
}

// archive packs the database with its metadata. The time of the next update is long
// past, and Trivy nevertheless accepts what it has just downloaded.
func archive(database []byte) ([]byte, error) {
	made := time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
	metadata, err := encode(map[string]any{
		"Version": 2, "UpdatedAt": made, "NextUpdate": made.Add(24 * time.Hour), "DownloadedAt": time.Time{},
	})
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	compressed := gzip.NewWriter(&out)
	files := tar.NewWriter(compressed)
	for _, file := range []struct {
		name string
		body []byte
	}{{"trivy.db", database}, {"metadata.json", metadata}} {
		header := &tar.Header{Name: file.name, Mode: 0o644, Size: int64(len(file.body)), ModTime: made}
		if err := files.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := files.Write(file.body); err != nil {
			return nil, err
		}
	}
	if err := files.Close(); err != nil {
		return nil, err
	}
	if err := compressed.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func store(layout, mediaType string, body []byte) (descriptor, error) {
	sum := sha256.Sum256(body)
	name := hex.EncodeToString(sum[:])
	err := os.WriteFile(filepath.Join(layout, "blobs", "sha256", name), body, 0o644)
	return descriptor{MediaType: mediaType, Digest: "sha256:" + name, Size: len(body)}, err
}

func encode(value any) ([]byte, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encoding: %w", err)
	}
	return text, nil
}
