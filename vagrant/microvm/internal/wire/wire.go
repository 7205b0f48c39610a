// Package wire is what the two halves of the micro-VM say to each other: the
// manifest goes in with the initramfs, the records come out through a
// virtio-serial port. The kernel's own messages have the console to
// themselves, so nothing it prints can damage a record.
package wire

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
)

// ManifestPath is where init finds the manifest in the initramfs.
const ManifestPath = "/microvm/manifest.json"

// PortName is the name of the virtio-serial port, as in
// /sys/class/virtio-ports/vport1p1/name.
const PortName = "microvm.report"

// A Manifest tells init what to do.
type Manifest struct {
	Console   string   // name of the console's device, "ttyS0"
	Modules   []string // loaded before anything else: the report port needs them
	NoCgroup2 bool     // leave /sys/fs/cgroup empty
	Shell     bool     // a shell on the console instead of the tests
	Final     string   // path of the final program, "" for none: then no ROOTFS either
	Tests     []Test
	Seconds   int // time for all tests together; what is left becomes -test.timeout
}

// A Test is one test binary with a directory of its own.
type Test struct {
	Name    string   // as the package was named on the command line, "./step03-cgroups"
	Dir     string   // working directory, testdata is in it
	Binary  string   // the test binary
	Args    []string // given to it
	Program string   // the package's own program, "" if it is not package main
}

// A Record is one thing that init reports. Exactly one field is set, but for
// Exit, which belongs to Ended.
type Record struct {
	Ready   string  `json:",omitempty"` // the kernel's release: the guest is up
	Started string  `json:",omitempty"` // name of the test that starts
	Output  []byte  `json:",omitempty"` // what it wrote, in the order it wrote
	Ended   string  `json:",omitempty"` // name of the test that ended
	Result  *Result `json:",omitempty"` // goes with Ended
	Failure string  `json:",omitempty"` // init itself could not go on
	Done    bool    `json:",omitempty"` // nothing follows
}

// A Result says how a test binary ended.
type Result struct {
	ExitCode int // 128+n when ended by signal n
	Seconds  float64
}

// ReadRecords calls handle for each record until Done, the end of the stream
// or an error. A stream that ends without Done is io.ErrUnexpectedEOF.
func ReadRecords(r io.Reader, handle func(Record) error) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return fmt.Errorf("read report: %w", err)
		}
		var record Record
		if err := json.Unmarshal(line, &record); err != nil {
			return fmt.Errorf("parse report %q: %w", line, err)
		}
		if err := handle(record); err != nil || record.Done {
			return err
		}
	}
}

// WriteRecord writes one record as one line with one write.
func WriteRecord(w io.Writer, record Record) error {
	line, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("encode report: %w", err)
	}
	if _, err := w.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}
