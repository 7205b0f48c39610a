//go:build linux

package image

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// notEmpty refuses an archive of nothing: at the other end of a pipe, what should have written it has failed.
func notEmpty(archive io.Reader) (io.Reader, error) {
	buffered := bufio.NewReader(archive)
	_, err := buffered.Peek(1)
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the archive is empty")
	}
	return buffered, err
}

func decompress(layer io.Reader) (io.ReadCloser, error) {
	plain, _, err := decompressAs(layer)
	return plain, err
}

// decompressAs recognises the format by its first bytes: media types are often wrong.
func decompressAs(layer io.Reader) (io.ReadCloser, types.MediaType, error) {
	buffered := bufio.NewReaderSize(layer, 256<<10)
	magic, _ := buffered.Peek(6) // a shorter file is not compressed, and no archive either
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		r, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, "", fmt.Errorf("gzip: %w", err)
		}
		return r, types.OCILayer, nil
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		r, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1<<30))
		if err != nil {
			return nil, "", fmt.Errorf("zstd: %w", err)
		}
		return r.IOReadCloser(), types.OCILayerZStd, nil
	case bytes.HasPrefix(magic, []byte("\xfd7zXZ\x00")), bytes.HasPrefix(magic, []byte("BZh")):
		return nil, "", errors.New("compressed with xz or bzip2: decompress it first (gzip and zstd are known)")
	}
	return io.NopCloser(buffered), types.OCIUncompressedLayer, nil
}
