//go:build linux

package metrics

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestUse is the process in the containers of these tests: the test program again, which uses a known amount of
// one thing. It says on its standard output when it has, and then waits to be ended.
//
//	eat MiB      touches so much memory
//	burn MS      keeps a processor busy until it has used so many milliseconds of it
//	read FILE    reads a file
//	write FILE   writes 4 MiB, past the page cache
//	open N       opens so many files
func TestUse(t *testing.T) {
	args := os.Args[len(os.Args)-2:]
	use, ok := map[string]func(*testing.T, string){
		"eat": eat, "burn": burn, "read": readWhole, "write": writePast, "open": openMany,
	}[args[0]]
	if !ok {
		t.Skip("is run by other tests")
	}
	use(t, args[1])
	fmt.Println("done")
	time.Sleep(10 * time.Minute)
}

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func eat(t *testing.T, size string) {
	memory, err := unix.Mmap(-1, 0, number(t, size)<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(memory); i += os.Getpagesize() {
		memory[i] = 1
	}
}

func burn(t *testing.T, milliseconds string) {
	for used := time.Duration(0); used < time.Duration(number(t, milliseconds))*time.Millisecond; {
		var usage unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
			t.Fatal(err)
		}
		used = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
}

func readWhole(t *testing.T, file string) {
	if _, err := os.ReadFile(file); err != nil {
		t.Fatal(err)
	}
}

const written = 4 << 20

func writePast(t *testing.T, path string) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|unix.O_DIRECT, 0o600)
	if err != nil {
		fmt.Println("cannot:", err)
		return
	}
	defer file.Close()
	memory, err := unix.Mmap(-1, 0, written, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write(memory); err != nil { // of whole pages, as O_DIRECT wants it
		fmt.Println("cannot:", err)
	}
}

func openMany(t *testing.T, count string) {
	for range number(t, count) {
		if _, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
			t.Fatal(err)
		}
	}
}
