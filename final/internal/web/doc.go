// Package web is the dashboard: one page that shows containers, their figures and their system calls as
// they change, fit for a projector.
//
// The page is in the folder page, plain files without a build step, and is served out of the binary, so it works
// without a network. It gets one stream of server-sent events (stream.go). Whoever looks at the same thing reads the
// same feed (feed.go): one look at the machine serves all, and when nobody reads it any more, nobody looks. The
// figures of the last minutes stay (ring.go), so that a page that opens later begins with a history. guard.go has
// the rules that keep other sites out.
//
// It decides nothing about containers itself, and changes nothing: a Source has functions that look. It may import
// engine and everything below it. Step 05 shows the idea with a table on the terminal.
package web
