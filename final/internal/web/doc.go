// Package web is the dashboard: one page that shows containers, their figures and their system calls as
// they change, fit for a projector.
//
// It serves files that are inside the binary, so it works without a network, and streams what engine,
// metrics and trace report; it decides nothing about containers itself. It may import engine and everything
// below it. Step 05 shows the idea with a table on the terminal.
package web
