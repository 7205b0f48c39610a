//go:build linux && !engine

package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

const programForScripts = "FINAL"

// shell runs a script in a world of the test's own, with an empty /var/lib, and final in the PATH. It returns what the
// script prints.
func shell(t *testing.T, script string) string {
	t.Helper()
	const prepare = `
		set -eu
		mkdir -p /var/lib
		mount -t tmpfs tmpfs /var/lib
		mkdir /run/bin /run/here
		ln -s "$FINAL" /run/bin/final
		export PATH=/run/bin:$PATH
		cd /run/here
		trap 'for id in $(final ps -aq); do final rm -f "$id" >/dev/null; done' EXIT
	`
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", prepare+script)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Minute
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	return out.String()
}

// transcript compares what a script prints with what it should.
func transcript(t *testing.T, script, want string) {
	t.Helper()
	if os.Getenv(programForScripts) == "" {
		os.Setenv(programForScripts, finalProgram(t)) // built once, for what runs in the worlds too
	}
	if !inWorld(t) {
		return
	}
	trim := func(text string) string {
		lines := strings.Split(strings.TrimSpace(text), "\n")
		for i, line := range lines {
			lines[i] = strings.TrimSpace(line)
		}
		return strings.Join(lines, "\n")
	}
	if diff := cmp.Diff(trim(want), trim(shell(t, script))); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestCopyDiffCommit copies to and from a container that runs and one that does not, looks at what it has changed, and
// makes an image of it.
func TestCopyDiffCommit(t *testing.T) {
	t.Parallel()
	transcript(t, `
		final run -d --name web --network none -v data:/data lab sleep 1000 >/dev/null
		final diff web
		echo one > file; mkdir -p tree/sub; echo two > tree/sub/b
		final cp file web:/tmp
		final cp tree web:/srv
		final cp tree/. web:/data
		final exec web sh -c 'cat /tmp/file /srv/sub/b /data/sub/b; rm /bin/cat; echo x >> /etc/passwd'
		final cp web:/srv out && cat out/sub/b
		final cp web:/srv/. - | tar t
		tar c file | final cp - web:/none || echo no
		tar c file | final cp - web:/ && final exec web ls /file
		echo '1.2.3.4 here' > hosts; final cp hosts web:/etc/hosts && final exec web grep . /etc/hosts
		echo -- diff; final diff web
		final ps -s --format '{{.Size}}' | sed 's/[0-9.]*M*B/N/g'
		final commit -m hello --change 'CMD ["ls", "/srv"]' web mine >/dev/null
		final run --rm --network none mine
		final run --rm --network none mine cat /tmp/file 2>/dev/null || echo "code $?"
		final stop -t 0 web
		echo -- stopped
		final cp file web:/data/again
		final cp web:/data - | tar t
		final start web; final exec web ls /data
		final export web | tar t | grep -E '^(proc|srv|data)/'
	`, `
		A /data
		one
		two
		two
		two
		./
		sub/
		sub/b
		final: cp - web:/none: open /none: no such file or directory: an archive wants a directory that is there
		no
		/file
		1.2.3.4 here
		-- diff
		C /bin
		D /bin/cat
		A /data
		C /etc
		C /etc/passwd
		A /file
		A /srv
		A /srv/sub
		A /srv/sub/b
		C /tmp
		A /tmp/file
		N (virtual N)
		sub
		code 127
		web
		-- stopped
		data/
		data/again
		data/sub/
		data/sub/b
		web
		again
		sub
		data/
		proc/
		srv/
		srv/sub/
		srv/sub/b
	`)
}

// TestCopyMapped: to a container with a user namespace, whose root is somebody else.
func TestCopyMapped(t *testing.T) {
	t.Parallel()
	release, err := kernel.Release()
	if err != nil {
		t.Fatal(err)
	}
	if v, err := kernel.ParseVersion(release); err != nil || v.Compare(kernel.Version{Major: 6, Minor: 3}) < 0 {
		t.Skipf("Linux %s: a tmpfs can be mapped since 6.3: %v", release, err)
	}
	transcript(t, `
		final run -d --name mapped --network none --userns 100000:65536 -v new:/new lab sleep 1000 >/dev/null
		echo one > file; chown 7:8 file
		final cp file mapped:/new/plain; final cp -a file mapped:/new/archive
		final exec mapped sh -c 'ls -ln /new | tail -n 2; touch /made; cat /proc/self/uid_map' | awk '{ print $3, $4, $NF }'
		final cp -a mapped:/new/archive out; ls -ln out | awk '{ print $3, $4 }'
		final stop -t 0 mapped; final cp -a file mapped:/new/later; final cp -a mapped:/new/later out; ls -ln out | awk '{ print $3, $4 }'
		final diff mapped
		ls -ln /var/lib/simple-container/containers/*/upper | awk '/made/ { print $3, $4 }'
	`, `
		7 8 archive
		0 0 plain
		65536  65536
		7 8
		mapped
		7 8
		A /made
		A /new
		0 0
	`)
}

// TestShared: containers that share namespaces of another see its processes, its memory and its name.
func TestShared(t *testing.T) {
	t.Parallel()
	transcript(t, `
		final run -d --name first --network none --hostname alpha lab sleep 1000 >/dev/null
		final run --rm --network none --pid container:first --ipc container:first lab \
			sh -c 'ps | grep -c "[s]leep 1000"; echo hello > /dev/shm/file'
		final exec first cat /dev/shm/file
		final run --rm --network container:first lab hostname
		final run --rm --network none --ipc container:none lab true 2>&1 | tail -n 1
	`, `
		1
		hello
		alpha
		final: --ipc: no such container: none
	`)
}

// TestExecs: a command that is there and is said not to be, and one with a terminal where there is none.
func TestExecs(t *testing.T) {
	t.Parallel()
	transcript(t, `
		final create --name web --network none lab sleep 1000 >/dev/null
		printf '#!/no/such/shell\n' > script; chmod +x script
		final cp script web:/; final commit web scripted >/dev/null
		final run --rm --network none scripted /script || echo "code $?"
		final start web; final exec web /script || echo "code $?"
		final exec web /nowhere || echo "code $?"
		mkdir gone; (cd gone; rmdir ../gone; final run --rm --network none lab echo nowhere)
		final exec -t web tty | tr -d '\r'; final exec -t web sh -c 'exit 4' || echo "code $?"
	`, `
		final: exec /script: no such file or directory: its interpreter is missing (the #! line, or the ELF loader: see readelf -l)
		code 127
		web
		final: exec /script: no such file or directory: its interpreter is missing (the #! line, or the ELF loader: see readelf -l)
		code 127
		final: exec: "/nowhere": stat /nowhere: no such file or directory
		code 127
		nowhere
		/dev/pts/0
		code 4
	`)
}

// TestUmask: who keeps files to themselves has containers that others can live in all the same.
func TestUmask(t *testing.T) {
	t.Parallel()
	transcript(t, `
		umask 077
		final run --rm --network none --user nobody --workdir / -v data:/data lab \
			sh -c 'umask; ls -ld / /data /etc/passwd | cut -c 1-10'
		final run --rm --network none --userns 100000:65536 --workdir / -v more:/data lab touch /data/mine && echo mapped
	`, `
		0022
		drwxr-xr-x
		drwxr-xr-x
		-rw-r--r--
		mapped
	`)
}

// TestCopyRefused: what is wrong is said.
func TestCopyRefused(t *testing.T) {
	t.Parallel()
	transcript(t, `
		final create --name web --network none lab >/dev/null
		echo one > file; mkdir dir
		try() { final "$@" 2>&1 && echo "no error: $*" || true; }
		try cp file; try cp a b; try cp a:b c:d; try cp nobody:/x y
		try cp nothing web:/x; try cp web:/nothing x; try cp dir web:/etc/passwd; try cp file web:/no/where
		try diff nobody; try commit web 'A B'; try export nobody
	`, `
		final: cp: 1 arguments: want: final cp SOURCE TARGET
		final: cp a b: one of both must be in a container: CONTAINER:PATH
		final: cp a:b c:d: from one container to another is not possible: copy to the host in between
		final: cp nobody:/x y: no such container: nobody
		final: cp nothing web:/x: open /run/here/nothing: no such file or directory
		final: cp web:/nothing x: open /nothing: no such file or directory
		final: cp dir web:/etc/passwd: /etc/passwd: a file is there, which no directory replaces
		final: cp file web:/no/where: open /no/: no such file or directory
		final: no such container: nobody
		final: image name "A B": want [HOST[:PORT]/]REPOSITORY[:TAG|@sha256:DIGEST]
		final: no such container: nobody
	`)
}
