//go:build linux && !engine

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/runtime"
	"github.com/simple-container/simple-container/final/internal/web"
)

// TestDashboardShowsARealContainer: what the page gets is what the kernel says, looked up by another way.
func TestDashboardShowsARealContainer(t *testing.T) {
	if !inWorld(t) {
		return
	}
	prepareWorld(t)
	pid := startContainer(t)
	connect(t, pid)
	url, server := startDashboard(t, "dashboard", "--listen", "127.0.0.1:0")

	var files []web.File
	ask(t, url+"stream?id=web&view=files", "files", &files, func() bool { return len(files) > 8 })
	for _, name := range []string{"memory.max", "memory.limit_in_bytes"} {
		i := slices.IndexFunc(files, func(f web.File) bool { return filepath.Base(f.Path) == name })
		if i >= 0 && (files[i].Text != "67108864" || !strings.HasPrefix(readText(t, files[i].Path), "67108864")) {
			t.Errorf("%s: %q", files[i].Path, files[i].Text)
		}
	}

	var namespaces []web.Namespace
	ask(t, url+"stream?id=web&view=namespaces", "namespaces", &namespaces, func() bool { return len(namespaces) > 6 })
	for _, n := range namespaces {
		want := readLink(t, fmt.Sprintf("/proc/%d/ns/%s", pid, n.Kind))
		here := readLink(t, "/proc/self/ns/"+n.Kind)
		if want != n.Kind+":["+n.Container+"]" || n.Same != (want == here) {
			t.Errorf("%+v: the kernel says %s, here %s", n, want, here)
		}
	}

	var processes web.Processes
	ask(t, url+"stream?id=web&view=processes", "processes", &processes, func() bool { return len(processes.Processes) > 1 })
	if p := processes.Processes[0]; p.Host != pid || p.Inside != 1 || p.Depth != 0 {
		t.Errorf("the first process: %+v, want %d", p, pid)
	}
	if p := processes.Processes[1]; p.Depth != 1 || p.Inside == p.Host {
		t.Errorf("its child: %+v", p)
	}

	var mounts web.Mounts
	ask(t, url+"stream?id=web&view=mounts", "mounts", &mounts, func() bool { return len(mounts.Mounts) > 0 })
	lines := strings.Count(readText(t, fmt.Sprintf("/proc/%d/mountinfo", pid)), "\n")
	if len(mounts.Mounts) != lines || mounts.Mounts[0].Target != "/" {
		t.Errorf("%d mounts, the kernel says %d: %+v", len(mounts.Mounts), lines, mounts.Mounts)
	}

	const chain = "forward: ip filter, policy drop"
	var path web.Path
	ask(t, url+"stream?id=web&view=path", "path", &path, func() bool { return len(path.Hops) > 0 })
	var hops []string
	for _, h := range path.Hops {
		hops = append(hops, h.Name)
	}
	if !slices.Equal(hops, []string{"eth0", "sc1", "sc0", "nft"}) || !slices.Contains(path.Hops[3].Facts, chain) || path.Hops[0].Addresses[0] != "10.213.0.2/24" {
		t.Errorf("hops %q, %+v", hops, path.Hops)
	}

	var figures struct {
		Points []struct {
			CPU          float64
			Memory, Pids uint64
		}
		Limits struct {
			CPU          float64
			Memory, Pids uint64
		}
	}
	ask(t, url+"stream?id=web&view=figures", "figures", &figures, func() bool { // a machine that halts for a moment makes one too large
		return len(figures.Points) > 0 && figures.Points[0].CPU > 0 && figures.Points[0].CPU <= 0.6
	})
	if l := figures.Limits; l.CPU != 0.5 || l.Memory != 64<<20 || l.Pids != 64 {
		t.Errorf("limits %+v", l)
	}
	if p := figures.Points[0]; p.Memory == 0 || p.Pids == 0 {
		t.Errorf("figures %+v", p)
	}

	var calls struct {
		Total  uint64
		Recent []web.Call
		Reason string
	}
	ask(t, url+"stream?id=web&view=calls", "calls", &calls, func() bool { return calls.Total > 10 && len(calls.Recent) > 0 || calls.Reason != "" })
	if calls.Reason != "" {
		t.Errorf("calls: %s", calls.Reason)
	}
	awaitNoTracer(t, server, pid)
	lookInBrowser(t, url, pid)
	awaitNoTracer(t, server, pid)
}

// awaitNoTracer waits until nothing of a tracer is left: no program in the kernel, nobody who stops the container.
func awaitNoTracer(t *testing.T, server, pid int) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		traced := !strings.Contains(readText(t, fmt.Sprintf("/proc/%d/status", pid)), "TracerPid:\t0\n")
		links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", server)) // the pattern is right
		bpf := slices.ContainsFunc(links, func(link string) bool {
			to, _ := os.Readlink(link) // closed meanwhile: ""
			return strings.Contains(to, "bpf")
		})
		if !traced && !bpf {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("nobody looks at the calls, and the tracer goes on: ptrace %v, bpf %v", traced, bpf)
		}
	}
}

// TestDashboardKnowsNames: containers of the engine have their names and images, also when they have ended.
func TestDashboardKnowsNames(t *testing.T) {
	if !inWorld(t) {
		return
	}
	prepareWorld(t)
	data := t.TempDir()
	runs := []string{"--data-root", data, "run", "-d", "--network", "none", "--env", actAs + "=final", "--name"}
	call(t, append(slices.Clone(runs), "hello", "lab", "sleep", "1000")...)
	t.Cleanup(func() { call(t, "--data-root", data, "rm", "--force", "hello", "done", "web") })
	call(t, append(slices.Clone(runs), "done", "lab", "sh", "-c", "exit 7")...)
	call(t, "--data-root", data, "run", "-d", "--env", actAs+"=final", "--name", "web", "-p", "8081:80", "lab", "sleep", "1000")
	url, _ := startDashboard(t, "--data-root", data, "dashboard", "--listen", "127.0.0.1:0")
	var list struct {
		Containers []web.Container
		Problem    string
	}
	ask(t, url+"stream?", "list", &list, func() bool {
		return len(list.Containers) == 3 && list.Containers[0].Status == "exited (7)"
	})
	first, second := list.Containers[0], list.Containers[1]
	if first.Name != "done" || first.Image != "lab" || first.Pid != 0 {
		t.Errorf("%+v", first)
	}
	if second.Name != "hello" || second.Image != "lab" || second.Pid == 0 || second.Status != "running" || list.Problem != "" {
		t.Errorf("%+v %s", second, list.Problem)
	}
	var path web.Path
	ask(t, url+"stream?view=path&id="+list.Containers[2].ID, "path", &path, func() bool {
		return len(path.Hops) > 3 && path.Hops[0].Up && path.Hops[1].Up && path.Hops[2].Up // in a moment
	})
	for i, kind := range []string{"link", "peer", "bridge", "rules"} {
		if path.Hops[i].Kind != kind || !path.Hops[i].Up {
			t.Errorf("hop %d: %+v, want %s", i, path.Hops[i], kind)
		}
	}
	facts := strings.Join(path.Hops[3].Facts, "; ")
	for _, want := range []string{"ip_forward = 1", "published ", "8081", "forward: inet simple_container", "postrouting: inet simple_container"} {
		if !strings.Contains(facts, want) {
			t.Errorf("%q is not in %q", want, facts)
		}
	}
}

// startContainer starts one that is busy, and limited.
func startContainer(t *testing.T) (pid int) {
	t.Helper()
	bundle := t.TempDir()
	if out, complaint, code := final(t, "rootfs", bundle+"/rootfs"); code != 0 {
		t.Fatalf("rootfs: %s%s", out, complaint)
	}
	s := runtime.ExampleSpec(false)
	s.Process.Terminal = false
	s.Process.Args = []string{"sh", "-c", "while true; do cat /etc/nothing /etc/passwd; sleep 0.1; done"}
	s.Process.Env = append(s.Process.Env, actAs+"=final") // the shell is this test binary
	quota, period, memory, tasks := int64(50000), uint64(100000), int64(64<<20), int64(64)
	s.Linux.Resources.CPU = &specs.LinuxCPU{Quota: &quota, Period: &period}
	s.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &memory}
	s.Linux.Resources.Pids = &specs.LinuxPids{Limit: &tasks}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	write(t, bundle+"/config.json", string(text))
	call(t, "create", "--bundle", bundle, "web")
	t.Cleanup(func() { call(t, "delete", "--force", "web") })
	call(t, "start", "web")
	out, _, _ := final(t, "state", "web")
	var state runtime.State
	if err := json.Unmarshal([]byte(out), &state); err != nil || state.Pid == 0 {
		t.Fatalf("state %q: %v", out, err)
	}
	return state.Pid
}

// prepareWorld gives the world what containers need: on cgroup2 a group that hands controllers down may have no
// processes of its own, and the world's do.
func prepareWorld(t *testing.T) {
	t.Helper()
	run(t, "ip", "link", "set", "lo", "up")
	for _, h := range allTrees(t) {
		if h.Version != 2 || len(h.Controllers) == 0 {
			continue
		}
		mkdir(t, h.Dir+"/world")
		for pid := range strings.FieldsSeq(readText(t, h.Dir+"/cgroup.procs")) {
			write(t, h.Dir+"/world/cgroup.procs", pid)
		}
	}
}

// call runs the program, with a file for what it says: a container would keep a pipe open. It may be called when the
// test's context is done.
func call(t *testing.T, args ...string) {
	t.Helper()
	said, err := os.CreateTemp("", "said")
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(said.Name())
	defer said.Close()
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), actAs+"=final")
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v: %s", args, err, readText(t, said.Name()))
	}
}

// connect gives the container a way out, as a network of containers has it.
func connect(t *testing.T, pid int) {
	t.Helper()
	number := strconv.Itoa(pid)
	for _, line := range []string{
		"ip link add sc0 type bridge",
		"ip addr add 10.213.0.1/24 dev sc0",
		"ip link set sc0 up",
		"ip link add sc1 type veth peer name eth0 netns " + number,
		"ip link set sc1 master sc0 up",
		"nsenter -t " + number + " -n ip addr add 10.213.0.2/24 dev eth0",
		"nsenter -t " + number + " -n ip link set eth0 up",
		"nsenter -t " + number + " -n ip route add default via 10.213.0.1",
		"iptables-nft -P FORWARD DROP",
	} {
		words := strings.Fields(line)
		run(t, words[0], words[1:]...)
	}
}

// startDashboard starts it as people do, and reads the address it says.
func startDashboard(t *testing.T, args ...string) (url string, pid int) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), actAs+"=final")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(unix.SIGTERM) // it may have ended, and Wait tells how
		if err := cmd.Wait(); err != nil {
			t.Errorf("dashboard: %v", err)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "dashboard: ")
	if !ok {
		t.Fatalf("dashboard says %q, %v", line, err)
	}
	return url, cmd.Process.Pid
}

// ask reads a stream until what comes of one kind is enough.
func ask(t *testing.T, url, view string, into any, enough func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	kind, last := "", ""
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case key == "event":
			kind = value
		case key == "data" && kind == "problem":
			t.Fatalf("%s: %s", view, value)
		case key == "data" && kind == view:
			last = value
			if err := json.Unmarshal([]byte(value), into); err != nil {
				t.Fatalf("%s: %v: %s", view, err, value)
			}
			if enough() {
				return
			}
		}
	}
	t.Fatalf("%s: never what was expected; the last was %s", view, last)
}

// lookInBrowser sees the container on the page itself.
func lookInBrowser(t *testing.T, url string, pid int) {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") == "true" && os.Getenv("MICROVM") == "" {
			t.Fatalf("%v: vagrant/provision.sh installs it", err)
		}
		t.Log("not looked at in a browser:", err)
		return
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox,
		chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1280, 720), chromedp.Flag("disable-gpu", true),
		chromedp.WSURLReadTimeout(2*time.Minute))
	allocated, stop := chromedp.NewExecAllocator(t.Context(), options...)
	defer stop()
	ctx, cancel := chromedp.NewContext(allocated)
	defer cancel()
	limited, cancelTime := context.WithTimeout(ctx, 5*time.Minute)
	defer cancelTime()
	for _, view := range []string{"figures", "files", "namespaces", "mounts", "processes", "path", "calls"} {
		var expected = map[string]string{
			"figures": "limit 0.50", "files": "67108864", "namespaces": "user", "mounts": "/proc",
			"processes": strconv.Itoa(pid), "path": "10.213.0.2/24", "calls": "openat",
		}[view]
		seen := fmt.Sprintf(`document.querySelector("#view").textContent.includes(%q)`, expected)
		if err := chromedp.Do(limited, chromedp.Navigate(url+"#web/"+view)); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
			ok, err := chromedp.Run(limited, chromedp.Evaluate[bool](seen))
			if err != nil {
				t.Fatal(err)
			}
			if ok {
				break
			}
			if time.Now().After(end) {
				text, _ := chromedp.Run(limited, chromedp.Evaluate[string]("document.body.innerText"))
				t.Fatalf("%s: no %q on the page: %s", view, expected, text)
			}
		}
		if dir := os.Getenv("WEB_SCREENSHOTS"); dir != "" {
			time.Sleep(300 * time.Millisecond) // something to be seen
			png, err := chromedp.Run(limited, chromedp.CaptureScreenshot())
			if err != nil {
				t.Fatal(err)
			}
			mkdir(t, dir)
			write(t, filepath.Join(dir, "real-"+view+".png"), string(png))
		}
	}
}

// A port that is taken: by whom, and what to do.
func TestDashboardPortIsTaken(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, complaint, code := final(t, "dashboard", "--listen", listener.Addr().String())
	for _, want := range []string{listener.Addr().String(), "in use by", fmt.Sprintf("(process %d)", os.Getpid()), "--listen"} {
		if os.Geteuid() != 0 && strings.HasPrefix(want, "(process") {
			continue
		}
		if code != 1 || !strings.Contains(complaint, want) {
			t.Errorf("code %d, %q: want %q in it", code, complaint, want)
		}
	}
	_, complaint, code = final(t, "dashboard", "--listen", "nonsense")
	if code != 1 || !strings.Contains(complaint, `--listen "nonsense"`) {
		t.Errorf("code %d, %q", code, complaint)
	}
}

// Who is not root sees less, and is told so.
func TestDashboardForOrdinaryUsers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("to be another user takes root")
	}
	root := t.TempDir()
	if err := os.Chmod(root, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "--root", root, "dashboard", "--listen", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), actAs+"=final")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := ""
	lines := bufio.NewScanner(out)
	for !strings.Contains(said, "dashboard: http") && lines.Scan() {
		said += lines.Text() + "\n"
	}
	if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"not root: the containers in " + root, "sudo", "dashboard: http://127.0.0.1:"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not in %q", want, said)
		}
	}
}

func TestListeningSockets(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 23681 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 23999 1 0000000000000000 20 4 30 10 -1
   2: 00000000:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 23682 1 0000000000000000 100 0 0 10 0
`
	if got := listeningSockets(table, 8080); !slices.Equal(got, []string{"23681"}) {
		t.Errorf("%q", got)
	}
}

func TestPageAddress(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:80": "127.0.0.1:80", "[::1]:80": "[::1]:80", "0.0.0.0:8080": "localhost:8080", "[::]:8080": "localhost:8080",
	} {
		host, port, _ := net.SplitHostPort(address)
		number, _ := strconv.Atoi(port)
		if got := pageAddress(&net.TCPAddr{IP: net.ParseIP(host), Port: number}); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func readLink(t *testing.T, path string) string {
	t.Helper()
	to, err := os.Readlink(path)
	if err != nil {
		t.Fatal(err)
	}
	return to
}
