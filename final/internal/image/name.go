//go:build linux

package image

import (
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// Names are Docker's: "alpine" is docker.io/library/alpine:latest. The full form is what the store keeps, the
// short one what people see.

// parseName reads a name as people write it.
func parseName(text string) (name.Reference, error) {
	ref, err := name.ParseReference(text)
	if err != nil {
		if lower := strings.ToLower(text); lower != text {
			if _, err := name.ParseReference(lower); err == nil {
				return nil, fmt.Errorf("image name %q: a repository's name is in lower case", text)
			}
		}
		return nil, fmt.Errorf("image name %q: want [HOST[:PORT]/]REPOSITORY[:TAG|@sha256:DIGEST]", text)
	}
	return ref, nil
}

// FullName returns a name in full: docker.io/library/alpine:latest for alpine.
func FullName(text string) (string, error) {
	ref, err := parseName(text)
	if err != nil {
		return "", err
	}
	return fullName(ref), nil
}

func fullName(ref name.Reference) string {
	separator := ":"
	if _, ok := ref.(name.Digest); ok {
		separator = "@"
	}
	return repositoryOf(ref.Context()) + separator + ref.Identifier()
}

// repositoryOf is a repository's full name. The module writes the old name of Docker's registry.
func repositoryOf(repository name.Repository) string {
	host := repository.RegistryStr()
	if host == name.DefaultRegistry {
		host = "docker.io"
	}
	return host + "/" + repository.RepositoryStr()
}

// ShortName is the inverse of [FullName] as far as possible: without Docker's registry and library. The tag
// stays.
func ShortName(full string) string {
	if short, ok := strings.CutPrefix(full, "docker.io/library/"); ok && !strings.Contains(short, "/") {
		return short
	}
	return strings.TrimPrefix(full, "docker.io/")
}

// SplitName cuts a name into its repository, and its tag or digest.
func SplitName(full string) (repository, tag, digest string) {
	if at := strings.IndexByte(full, '@'); at >= 0 {
		return full[:at], "", full[at+1:]
	}
	if colon := strings.LastIndexByte(full, ':'); colon > strings.LastIndexByte(full, '/') {
		return full[:colon], full[colon+1:], ""
	}
	return full, "", ""
}
