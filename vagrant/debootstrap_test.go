//go:build linux

package vagrant

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// freshRelease is installed to try provision.sh on. Its own Go is too old, so
// the longest way to a working one is taken: backports, then the toolchain.
const freshRelease = "bookworm"

// TestProvisionFreshDebian runs provision.sh in a Debian that has nothing but
// what debootstrap installs, builds with what it made, and runs it again. It
// takes minutes and fetches some hundred megabytes, so it has to be asked for:
//
//	sudo DEBOOTSTRAP=1 go test ./vagrant
func TestProvisionFreshDebian(t *testing.T) {
	if os.Getenv("DEBOOTSTRAP") == "" {
		t.Skip("takes minutes: DEBOOTSTRAP=1 runs it")
	}
	if os.Getuid() != 0 {
		t.Fatal("needs root")
	}
	need(t, "debootstrap")
	repository, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	root := freshDebian(t, filepath.Join(repository, ".cache/debootstrap"))

	start := time.Now()
	first := enter(t, root, repository, "vagrant/provision.sh")
	t.Logf("provision.sh took %v:\n%s", time.Since(start), first)
	enter(t, root, repository, `
		test "$(command -v go)" = /usr/local/bin/go
		go version
		gofmt -l step01-reexec
		export GOPROXY=off # all is there by now
		CGO_ENABLED=0 go build -o /tmp/ ./step01-reexec ./final
		CGO_ENABLED=1 go build -o /tmp/ ./step01-reexec ./final
		for program in iptables ip ps unshare strace qemu-system-x86_64 qemu-system-aarch64 shellcheck debootstrap podman crun runc conmon containerd; do command -v $program; done
		/tmp/step01-reexec -h 2>&1 | grep -q hostname`)

	before := enter(t, root, repository, snapshot)
	start = time.Now()
	second := enter(t, root, repository, "vagrant/provision.sh")
	if took := time.Since(start); took > time.Minute {
		t.Errorf("the second run took %v, want it quick", took)
	}
	if second != "" {
		t.Errorf("the second run said %q, want nothing: all is there", second)
	}
	if after := enter(t, root, repository, snapshot); after != before {
		t.Errorf("the second run changed something:\n%s\nbefore:\n%s", after, before)
	}
}

// snapshot prints what provision.sh could have touched.
const snapshot = `dpkg-query --show | sha256sum
	find /etc /usr/local /var/lib/apt -type f -printf '%p %T@ %s\n' | sort | sha256sum`

// trusted has the host's certificate authorities in the new Debian.
const trusted = "/etc/trusted-by-the-host.crt"

// freshDebian unpacks a new Debian into a directory of the test. The first one
// is kept as an archive in cache.
func freshDebian(t *testing.T, cache string) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "root")
	archive := filepath.Join(cache, freshRelease+"-"+runtime.GOARCH+".tar")
	if err := errors.Join(os.Mkdir(root, 0o755), os.MkdirAll(cache, 0o755)); err != nil {
		t.Fatal(err)
	}
	_, err := os.Stat(archive)
	switch {
	case err == nil:
		run(t, "tar", "-C", root, "-xf", archive)
	case errors.Is(err, fs.ErrNotExist):
		run(t, "debootstrap", "--variant=minbase", freshRelease, root, mirror(t))
		run(t, "tar", "-C", root, "-cf", archive+".new", ".")
		if err := os.Rename(archive+".new", archive); err != nil {
			t.Fatal(err)
		}
	default:
		t.Fatal(err)
	}
	// The way out is the host's, and so is whom to trust: a proxy may have a
	// certificate of its own.
	for file, source := range map[string]string{
		"/etc/resolv.conf": "/etc/resolv.conf", "/etc/hosts": "/etc/hosts", trusted: "/etc/ssl/certs/ca-certificates.crt",
	} {
		if err := os.WriteFile(root+file, []byte(read(t, source)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// Nobody will miss this Debian after a power failure.
	if err := os.WriteFile(root+"/etc/dpkg/dpkg.cfg.d/fast", []byte("force-unsafe-io\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return root
}

// mirror is the address that the host's apt fetches Debian from.
func mirror(t *testing.T) string {
	t.Helper()
	need(t, "apt-get")
	for line := range strings.Lines(run(t, "apt-get", "indextargets", "--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)", "Created-By: Packages")) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == freshRelease && fields[1] == "main" {
			return fields[2]
		}
	}
	t.Skipf("apt's sources have no %s: it can be tried on that release only", freshRelease)
	return ""
}

// enter runs a script in the new Debian, in the repository, which it can only
// read. It has its own mount and process namespaces: what it mounts and what
// it leaves running ends with it.
func enter(t *testing.T, root, repository, script string) string {
	t.Helper()
	mounts := fmt.Sprintf(`
		mount --make-rprivate /
		mount --bind %[1]s %[1]s
		mkdir -p %[1]s/repository
		mount --bind %[2]s %[1]s/repository
		mount -o remount,bind,ro %[1]s/repository
		mount -t proc proc %[1]s/proc
		mount --bind /dev/null %[1]s/dev/null
		exec chroot %[1]s bash -euc 'cd /repository; %[3]s'`, root, repository, strings.ReplaceAll(script, "'", `'\''`))
	cmd := exec.CommandContext(t.Context(), "bash", "-euc", mounts)
	cmd.Env = append(proxies(), "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C", "SSL_CERT_FILE="+trusted)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

// proxies is the part of the environment that says how to get out.
func proxies() (list []string) {
	for _, name := range []string{"http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "GOPROXY", "GOSUMDB", "GONOSUMDB"} {
		if value, ok := os.LookupEnv(name); ok {
			list = append(list, name+"="+value)
		}
	}
	return list
}
