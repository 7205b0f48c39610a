//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// finish says what went wrong, where people and where engines look, and returns the exit code.
func (s *session) finish(err error) int {
	code, silent := codeOf(err)
	if silent {
		return code
	}
	fmt.Fprintln(os.Stderr, "final:", visible(err.Error()))
	s.record("error", err.Error())
	return code
}

// record appends a line to the log, if there is one. Engines take the last line of level error.
func (s *session) record(level, message string) {
	if s.log == "" {
		switch level {
		case "warning":
			fmt.Fprintln(os.Stderr, "final: warning:", visible(message))
		case "debug":
			s.line(os.Stderr, level, message)
		}
		return
	}
	file, err := os.OpenFile(s.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		fmt.Fprintln(os.Stderr, "final: --log:", err)
		return
	}
	defer file.Close()
	s.line(file, level, message)
}

// line writes one line of a log, in the format that was asked for.
func (s *session) line(file io.Writer, level, message string) {
	now := time.Now().Format(time.RFC3339)
	if s.format == "json" {
		_ = json.NewEncoder(file).Encode(map[string]string{"level": level, "msg": message, "time": now})
		return
	}
	fmt.Fprintf(file, "time=%q level=%s msg=%q\n", now, level, message)
}

// debugLog passes what --explain would say to the log, line by line. What is said at once are whole lines, so there is
// nothing to keep: several may say something at the same time.
type debugLog struct{ session *session }

func (d debugLog) Write(text []byte) (int, error) {
	for line := range strings.Lines(string(text)) {
		d.session.record("debug", strings.TrimSuffix(line, "\n"))
	}
	return len(text), nil
}
