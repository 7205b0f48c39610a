//go:build linux

package monitor

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"time"
	"unicode/utf8"
)

// A log is what a container wrote, as Docker's json-file has it, a line each:
//
//	{"log":"hello\n","stream":"stdout","time":"2026-01-02T15:04:05.123456789Z"}
//
// Text without the line's end is the beginning of a line that the next entry of its stream goes on with.
type log struct {
	path string

	mutex sync.Mutex
	file  *os.File
	size  int64
	line  []byte // is used again
}

// The log is bounded: when the file is full it takes the place of the one before, and a new one begins.
const (
	logSize = 32 << 20
	OldLog  = LogFile + ".1"
)

// lineSize is what a line may have before it is written in parts.
const lineSize = 16 << 10

func openLog(dir string) (*log, error) {
	l := &log{path: filepath.Join(dir, LogFile)}
	return l, l.open()
}

func (l *log) open() (err error) {
	l.file, err = os.OpenFile(l.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := l.file.Stat()
	if err != nil {
		return err
	}
	l.size = info.Size()
	return l.endEntry()
}

// endEntry ends an entry of which a monitor that was killed has written a part: the next one is not to be lost with it.
func (l *log) endEntry() error {
	last := []byte{'\n'}
	if l.size > 0 {
		if _, err := l.file.ReadAt(last, l.size-1); err != nil {
			return err
		}
	}
	if last[0] == '\n' {
		return nil
	}
	n, err := l.file.WriteString("\n")
	l.size += int64(n)
	return err
}

func (l *log) close() { l.file.Close() }

// A logStream puts together the lines of one stream.
type logStream struct {
	log  *log
	name string
	text []byte
}

func (l *log) stream(name string) *logStream { return &logStream{log: l, name: name} }

// write adds text, and writes the lines that are whole.
func (s *logStream) write(text []byte) {
	for len(text) > 0 {
		n, whole := bytes.IndexByte(text, '\n')+1, true
		if n == 0 {
			n, whole = len(text), false
		}
		if room := lineSize - len(s.text); n > room {
			n, whole = room, false
		}
		s.text, text = append(s.text, text[:n]...), text[n:]
		switch {
		case whole:
			s.flush()
		case len(s.text) == lineSize:
			s.split()
		}
	}
}

// split writes a line that is too long as far as it has come, but for a character that is not whole.
func (s *logStream) split() {
	cut := len(s.text)
	for back := 1; back < utf8.UTFMax; back++ {
		if start := len(s.text) - back; utf8.RuneStart(s.text[start]) {
			if !utf8.FullRune(s.text[start:]) {
				cut = start
			}
			break
		}
	}
	tail := append([]byte(nil), s.text[cut:]...)
	s.text = s.text[:cut]
	s.flush()
	s.text = append(s.text, tail...)
}

// flush writes what there is.
func (s *logStream) flush() {
	if len(s.text) > 0 {
		s.log.write(s.text, s.name, time.Now())
		s.text = s.text[:0]
	}
}

// write appends an entry. A disk that is full costs the log, and not the container.
func (l *log) write(text []byte, stream string, now time.Time) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.line = append(l.line[:0], `{"log":`...)
	l.line = appendJSON(l.line, text)
	l.line = append(l.line, `,"stream":"`+stream+`","time":"`...)
	l.line = now.UTC().AppendFormat(l.line, time.RFC3339Nano)
	l.line = append(l.line, "\"}\n"...)
	if l.size > 0 && l.size+int64(len(l.line)) > logSize {
		l.rotate()
	}
	n, err := l.file.Write(l.line)
	if err != nil && l.file.Truncate(l.size) == nil { // no half entries
		return
	}
	l.size += int64(n)
}

func (l *log) rotate() {
	if os.Rename(l.path, filepath.Join(filepath.Dir(l.path), OldLog)) != nil {
		return // it grows on
	}
	full := l.file
	if l.open() != nil {
		l.file = full
		return
	}
	full.Close()
}

// appendJSON appends text as a string of JSON. What is no UTF-8 becomes U+FFFD: JSON has no other bytes.
func appendJSON(to, text []byte) []byte {
	const hex = "0123456789abcdef"
	to = append(to, '"')
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && size == 1:
			to = append(to, "\ufffd"...)
		case r == '"' || r == '\\':
			to = append(to, '\\', byte(r))
		case r == '\n':
			to = append(to, `\n`...)
		case r < ' ' || r == 0x7f:
			to = append(to, `\u00`...)
			to = append(to, hex[r>>4], hex[r&15])
		default:
			to = append(to, text[:size]...)
		}
		text = text[size:]
	}
	return append(to, '"')
}
