//go:build ignore

// Writes syscalls_linux_amd64.go and syscalls_linux_arm64.go: the names of the system calls, from the numbers that
// golang.org/x/sys/unix has. Run it with go generate.
package main

import (
	"fmt"
	"log"
	"os"
	"os/exec"
	"regexp"
	"strings"
)

func main() {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/sys").Output()
	if err != nil {
		log.Fatal(err)
	}
	constant := regexp.MustCompile(`(?m)^\tSYS_(\w+)`)
	for _, arch := range []string{"amd64", "arm64"} {
		source, err := os.ReadFile(strings.TrimSpace(string(dir)) + "/unix/zsysnum_linux_" + arch + ".go")
		if err != nil {
			log.Fatal(err)
		}
		var b strings.Builder
		b.WriteString("// Written by syscalls_generate.go. DO NOT EDIT.\n\npackage main\n\n" +
			"import \"golang.org/x/sys/unix\"\n\n" +
			"// syscallNames are the names of the system calls, by number.\nvar syscallNames = [...]string{\n")
		for _, match := range constant.FindAllStringSubmatch(string(source), -1) {
			fmt.Fprintf(&b, "\tunix.SYS_%s: %q,\n", match[1], strings.ToLower(match[1]))
		}
		b.WriteString("}\n")
		file := "syscalls_linux_" + arch + ".go"
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			log.Fatal(err)
		}
		if err := exec.Command("gofmt", "-w", file).Run(); err != nil {
			log.Fatal(err)
		}
	}
}
