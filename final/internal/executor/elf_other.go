//go:build linux && !amd64 && !arm64

package executor

// There is no stub for this processor.
const hasStub = false

func program(int) []byte { return nil }
