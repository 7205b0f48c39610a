//go:build linux

package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// A repository is a connection to one repository of a registry (OCI distribution specification).
type repository struct {
	name   name.Repository
	client *http.Client
}

// directTransport is how registries are spoken to if nobody says otherwise.
func directTransport() http.RoundTripper {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   atOnce,
		IdleConnTimeout:       30 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 60 * time.Second,
		ReadBufferSize:        64 << 10,
	}
}

// connect asks the registry how it wants to be spoken to, and gets a token if it wants one.
func connect(ctx context.Context, at name.Repository, base http.RoundTripper) (*repository, error) {
	credentials, err := credentialsFor(at)
	if err != nil {
		return nil, err
	}
	if base == nil {
		base = directTransport()
	}
	var authorised http.RoundTripper
	err = retry(ctx, func() error {
		scopes := []string{at.Scope(transport.PullScope)}
		authorised, err = transport.NewWithContext(ctx, at.Registry, credentials, base, scopes)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &repository{at, &http.Client{Transport: authorised}}, nil
}

// get asks for a manifest or blob; the answer has one of the codes.
func (r *repository) get(
	ctx context.Context, kind, identifier string, header http.Header, codes ...int,
) (*http.Response, error) {
	at := url.URL{
		Scheme: r.name.Scheme(), Host: r.name.RegistryStr(),
		Path: fmt.Sprintf("/v2/%s/%s/%s", r.name.RepositoryStr(), kind, identifier),
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, err
	}
	for key, values := range header {
		request.Header[key] = values
	}
	response, err := r.client.Do(request)
	if err != nil {
		return nil, err
	}
	if err := transport.CheckError(response, codes...); err != nil {
		response.Body.Close()
		return nil, err
	}
	return response, nil
}

// manifestTypes are what is asked for: an index, or an image's manifest, in OCI's words or Docker's.
var manifestTypes = []string{
	string(types.OCIImageIndex), string(types.DockerManifestList),
	string(types.OCIManifestSchema1), string(types.DockerManifestSchema2),
}

// manifest returns a manifest, or an index, by its tag or digest.
func (r *repository) manifest(
	ctx context.Context, identifier string,
) (content []byte, kind types.MediaType, err error) {
	accept := http.Header{"Accept": {strings.Join(manifestTypes, ", ")}}
	err = retry(ctx, func() error {
		response, err := r.get(ctx, "manifests", identifier, accept, http.StatusOK)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		kind = types.MediaType(response.Header.Get("Content-Type"))
		content, err = readJSON(response.Body)
		return err
	})
	if err == nil && strings.HasPrefix(identifier, "sha256:") {
		err = verify(content, v1.Hash{Algorithm: "sha256", Hex: strings.TrimPrefix(identifier, "sha256:")})
	}
	return content, kind, err
}

// smallBlob returns a configuration.
func (r *repository) smallBlob(ctx context.Context, d v1.Descriptor) (content []byte, err error) {
	err = retry(ctx, func() error {
		response, err := r.get(ctx, "blobs", d.Digest.String(), nil, http.StatusOK)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		content, err = readJSON(response.Body)
		return err
	})
	if err == nil {
		err = verify(content, d.Digest)
	}
	return content, err
}

// blob returns a blob from an offset on. Of a registry that knows no ranges the whole is asked for, and its front
// passed over.
func (r *repository) blob(ctx context.Context, d v1.Descriptor, from int64) (io.ReadCloser, error) {
	if from > 0 {
		body, err := r.rest(ctx, d, from)
		if body != nil || err != nil {
			return body, err
		}
	}
	response, err := r.get(ctx, "blobs", d.Digest.String(), nil, http.StatusOK)
	if err != nil {
		return nil, err
	}
	return skip(response.Body, from)
}

// rest asks for a part of a blob, and returns nil if the registry cannot do that.
func (r *repository) rest(ctx context.Context, d v1.Descriptor, from int64) (io.ReadCloser, error) {
	header := http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", from, d.Size-1)}}
	response, err := r.get(ctx, "blobs", d.Digest.String(), header, http.StatusOK, http.StatusPartialContent)
	answer, ok := errors.AsType[*transport.Error](err)
	if ok && answer.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusOK {
		return skip(response.Body, from)
	}
	var start int64
	got := response.Header.Get("Content-Range")
	if _, err := fmt.Sscanf(got, "bytes %d-", &start); err != nil || start != from {
		response.Body.Close()
		return nil, fmt.Errorf("asked for bytes from %d on, got %q", from, got)
	}
	return response.Body, nil
}

func skip(body io.ReadCloser, n int64) (io.ReadCloser, error) {
	if _, err := io.CopyN(io.Discard, body, n); err != nil {
		body.Close()
		return nil, err
	}
	return body, nil
}

// retries is how often in a row something is tried again, after 0.1 s at first, then twice as long each time.
const retries = 5

// pause waits before the n-th try, counted from 1 for the first that is one again.
func pause(ctx context.Context, n int) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(50 * time.Millisecond << n):
		return nil
	}
}

// retry tries something that may fail for a while.
func retry(ctx context.Context, try func() error) error {
	for n := 1; ; n++ {
		err := try()
		if err == nil || n > retries || ctx.Err() != nil || !isTemporary(err) {
			return err
		}
		if err := pause(ctx, n); err != nil {
			return err
		}
	}
}

// isTemporary tells whether it is worth trying again.
func isTemporary(err error) bool {
	if answer, ok := errors.AsType[*transport.Error](err); ok {
		again := []int{http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
			http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}
		return slices.Contains(again, answer.StatusCode)
	}
	if lookup, ok := errors.AsType[*net.DNSError](err); ok {
		return lookup.IsTemporary
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return false // nobody is there
	}
	network, ok := errors.AsType[net.Error](err)
	return ok && network.Timeout() || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		errors.Is(err, errStalled) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
