// Package console gives a container a terminal: a pair whose slave side lives in the container's own
// devpts, the master passed to whoever asked for it, window sizes and raw mode on this side.
//
// It adds the container's half to the plan (a session of its own, the controlling terminal, /dev/console).
// The slave is opened through the master (TIOCGPTPEER), never by a path that the container could change. It
// may import the packages of the executors and kernel. Step 01 shows the idea (terminal.go).
package console
