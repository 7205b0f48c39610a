//go:build linux

package monitor

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

type entry struct {
	Log, Stream string
	Time        time.Time
}

func readLog(t *testing.T, path string) (list []entry) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatalf("%v: %s", err, lines.Bytes())
		}
		list = append(list, e)
	}
	return list
}

// TestLogAfterKill: what a monitor that was killed has written in part does not take the next entry with it.
func TestLogAfterKill(t *testing.T) {
	dir := t.TempDir()
	half := `{"log":"half`
	if err := os.WriteFile(filepath.Join(dir, LogFile), []byte(half), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := openLog(dir)
	if err != nil {
		t.Fatal(err)
	}
	l.stream("stdout").write([]byte("whole\n"))
	l.close()
	text, err := os.ReadFile(l.path)
	if err != nil || !strings.HasPrefix(string(text), half+"\n{\"log\":\"whole") {
		t.Errorf("%q, %v", text, err)
	}
}

// TestLogText: whatever is written can be read again, line by line, in whatever pieces it comes.
func TestLogText(t *testing.T) {
	long := strings.Repeat("ä", lineSize) // two bytes each
	text := "plain\n\n\"quoted\" \\ \t\x01\x7f\n" + long + "\nbad \xff\xfe byte\nthe end"
	for _, piece := range []int{1, 7, 4096, len(text)} {
		dir := t.TempDir()
		l, err := openLog(dir)
		if err != nil {
			t.Fatal(err)
		}
		s := l.stream("stdout")
		for rest := text; len(rest) > 0; {
			n := min(piece, len(rest))
			s.write([]byte(rest[:n]))
			rest = rest[n:]
		}
		s.flush()
		l.close()
		var got strings.Builder
		for _, e := range readLog(t, l.path) {
			if e.Stream != "stdout" || e.Time.IsZero() || len(e.Log) > lineSize || !utf8.ValidString(e.Log) {
				t.Errorf("in pieces of %d: entry %.60q of %d bytes", piece, e.Log, len(e.Log))
			}
			got.WriteString(e.Log)
		}
		if want := strings.NewReplacer("\xff", "\ufffd", "\xfe", "\ufffd").Replace(text); got.String() != want {
			t.Errorf("in pieces of %d: got %d bytes, want %d", piece, got.Len(), len(want))
		}
	}
}

// TestLogStreams: lines of two streams do not mix, and what is no whole line waits for its end.
func TestLogStreams(t *testing.T) {
	l, err := openLog(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	out, errs := l.stream("stdout"), l.stream("stderr")
	out.write([]byte("one "))
	errs.write([]byte("error\n"))
	out.write([]byte("line\nprompt> "))
	if got := readLog(t, l.path); len(got) != 2 || got[0].Log != "error\n" || got[1].Log != "one line\n" {
		t.Errorf("got %+v", got)
	}
	out.flush()
	if got := readLog(t, l.path); len(got) != 3 || got[2].Log != "prompt> " {
		t.Errorf("got %+v", got)
	}
}

// TestLogIsBounded: a log that is full takes the place of the one before.
func TestLogIsBounded(t *testing.T) {
	dir := t.TempDir()
	l, err := openLog(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	s := l.stream("stdout")
	line := []byte(strings.Repeat("x", lineSize-1) + "\n")
	for written := 0; written < 3*logSize; written += len(line) {
		s.write(line)
	}
	var size int64
	for _, name := range []string{LogFile, OldLog} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if size > 2*logSize || size < logSize {
		t.Errorf("both have %d bytes, want at most %d", size, 2*logSize)
	}
}
