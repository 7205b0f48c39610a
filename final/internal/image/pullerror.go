//go:build linux

package image

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// A PullError says which image was not to be had, and why.
type PullError struct {
	Name       string // in its short form
	Repository string // in full, with the registry
	Err        error
}

func pullError(ref name.Reference, err error) error {
	return &PullError{Name: ShortName(fullName(ref)), Repository: repositoryOf(ref.Context()), Err: err}
}

func (e *PullError) Error() string { return fmt.Sprintf("pull %s: %s", e.Name, e.cause()) }
func (e *PullError) Unwrap() error { return e.Err }

// cause is the registry's answer in the words that people know from Docker, and what to do about it.
func (e *PullError) cause() string {
	host, _, _ := strings.Cut(e.Repository, "/")
	if answer, ok := errors.AsType[*transport.Error](e.Err); ok {
		said := func(code transport.ErrorCode) bool {
			return slices.ContainsFunc(answer.Errors, func(d transport.Diagnostic) bool { return d.Code == code })
		}
		switch {
		case said(transport.ManifestUnknownErrorCode):
			return "manifest unknown: " + e.Repository + " has no such tag or digest"
		case said(transport.NameUnknownErrorCode):
			return "repository " + e.Repository + " does not exist"
		case answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden:
			return fmt.Sprintf("unauthorized: repository %s does not exist, or wants a login"+
				" (docker login %[2]s, podman login %[2]s)", e.Repository, host)
		case answer.StatusCode == http.StatusNotFound:
			return "manifest unknown: " + host + " has no such image"
		case answer.StatusCode == http.StatusTooManyRequests:
			return "too many requests: " + host + " limits how often one may pull; a login raises the limit"
		}
	}
	if errors.Is(e.Err, context.Canceled) {
		return "interrupted; the next pull goes on from here"
	}
	text := e.Err.Error()
	_, unknown := errors.AsType[x509.UnknownAuthorityError](e.Err)
	_, lookup := errors.AsType[*net.DNSError](e.Err)
	switch {
	case unknown:
		return text + " (put the registry's certificate into /usr/local/share/ca-certificates and run update-ca-certificates)"
	case lookup:
		return text + " (is there a network? HTTPS_PROXY is honoured; the image called lab needs none)"
	case strings.Contains(text, "server gave HTTP response to HTTPS client"):
		return text + " (only registries on this machine are spoken to in plain HTTP)"
	}
	return text
}
