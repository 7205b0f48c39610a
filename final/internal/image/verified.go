//go:build linux

package image

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// verified computes the digest of what is read through it.
type verified struct {
	from io.Reader
	want v1.Hash
	sum  hash.Hash
}

func newVerified(from io.Reader, want v1.Hash) *verified { return &verified{from, want, sha256.New()} }

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.from.Read(p)
	_, _ = v.sum.Write(p[:n]) // a hash takes everything
	return n, err
}

// verify is asked once all has been read.
func (v *verified) verify() error {
	if got := hex.EncodeToString(v.sum.Sum(nil)); got != v.want.Hex {
		return fmt.Errorf("the content's digest is sha256:%s, not %s", got, v.want)
	}
	return nil
}
