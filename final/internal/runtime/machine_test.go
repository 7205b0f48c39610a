//go:build linux

package runtime

import (
	"os"
	"slices"
	"testing"
)

// Whoever calls us may have put other files in place of our standard streams; /dev/null is not given away, whichever
// number it has.
func TestStreamsOfTheCaller(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	in, out, errs := os.Stdin, os.Stdout, os.Stderr
	defer func() { os.Stdin, os.Stdout, os.Stderr = in, out, errs }()

	nobody := uint32(65534)
	os.Stdin, os.Stdout, os.Stderr = null, write, null
	if got, want := streams(nobody), []int{1}; !slices.Equal(got, want) {
		t.Errorf("stdin and stderr are /dev/null: %v are given to the user; want %v", got, want)
	}
	os.Stdin, os.Stdout, os.Stderr = read, null, write
	if got, want := streams(nobody), []int{0, 2}; !slices.Equal(got, want) {
		t.Errorf("stdout is /dev/null: %v are given to the user; want %v", got, want)
	}
}
