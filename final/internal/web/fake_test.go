//go:build linux

package web

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"slices"
	"sync"
	"time"
)

// A stage is a made-up machine with three containers: one that is throttled, one that has been killed, one that
// has ended. What a test shows is the same each time.
type stage struct {
	lock       sync.Mutex
	containers []Container
	began      time.Time
	looks      int // at the containers
	traced     int // tracers that run
}

const (
	mebibyte = 1 << 20
	before   = 150 // seconds that have been looked at when a page opens
)

func newStage() *stage {
	began := time.Now().Add(-4 * time.Minute)
	return &stage{
		began: time.Now(),
		containers: []Container{
			{"4f1c9ab27e30", "web", "nginx:1.29", "running", began.Add(-3 * time.Minute), 48120, nil},
			{"b07d52c6e991", "worker", "python:3.14-slim", "running", began, 48377, nil},
			{"93aa0e41f5d8", "migrate", "shop/migrate:2026-11", "stopped", began.Add(-40 * time.Minute), 0, nil},
		},
	}
}

// server has looked at the stage for a while.
func (st *stage) server() *Server {
	s := New(st.source())
	st.began = time.Now()
	for i := range before {
		for _, c := range st.containers {
			if c.Pid != 0 {
				s.book.add(c.ID, st.began.Add(time.Duration(i-before)*time.Second), *st.at(c.ID, float64(i)))
			}
		}
	}
	return s
}

func (st *stage) source() Source {
	return Source{
		Containers: func() ([]Container, error) {
			st.lock.Lock()
			defer st.lock.Unlock()
			st.looks++
			list := append([]Container{}, st.containers...)
			for i, c := range list {
				if c.Pid != 0 {
					list[i].Figures = st.at(c.ID, st.seconds())
				}
			}
			return list, nil
		},
		Files: st.files, Namespaces: st.namespaces, Mounts: st.mounts,
		Processes: st.processes, Path: st.path, Calls: st.calls,
		Hint: []string{"sudo final run -it lab"},
	}
}

func (st *stage) add(c Container) {
	st.lock.Lock()
	defer st.lock.Unlock()
	st.containers = append(st.containers, c)
}

func (st *stage) tracers() int {
	st.lock.Lock()
	defer st.lock.Unlock()
	return st.traced
}

// seconds is how long it has been looked at.
func (st *stage) seconds() float64 { return before + time.Since(st.began).Seconds() }

// at are the figures after so many seconds: sums over them.
func (st *stage) at(id string, seconds float64) *Figures {
	f := &Figures{}
	worker := id == "b07d52c6e991"
	for x := 0.0; x < seconds; x++ {
		part := min(1, seconds-x)
		use, in := 0.16+0.06*math.Sin(x/7)+0.05*math.Sin(x/2.3), 210e3*(1.3+math.Sin(x/11)+0.3*math.Sin(x/1.9))
		if worker {
			use, in = 0.3+0.03*math.Sin(x/3), 2e3
		}
		if !worker && x > 70 && x < 118 {
			use = 0.5 - 0.012*math.Abs(math.Sin(x))
			f.Throttled += 6 + uint64(2*(1+math.Sin(x/5)))
		}
		f.Periods += 10
		f.CPU += time.Duration(part * use * float64(time.Second))
		f.Received += uint64(part * max(0, in))
		f.Sent += uint64(part * max(0, in*0.35+3e4*math.Sin(x/3)))
	}
	f.CPULimit, f.MemoryLimit, f.PidsLimit = 0.5, 64*mebibyte, 32
	f.Memory = uint64((31 + 4*math.Sin(seconds/20) + 1.5*math.Sin(seconds/3)) * mebibyte)
	f.Pids = 5 + uint64(2+2*math.Sin(seconds/9))
	if worker { // it grows until it is killed
		f.Memory = uint64((10 + 53*math.Mod(seconds+30, 90)/90) * mebibyte)
		f.OOMKills = uint64((seconds + 30) / 90)
		f.Pids = 3
	}
	return f
}

func (st *stage) files(string) ([]File, error) {
	n := int(st.seconds())
	const dir = "/sys/fs/cgroup/oci-simple-container-4f1c9ab27e30/"
	return []File{
		{"cpu", dir + "cpu.stat", fmt.Sprintf("usage_usec %d\nuser_usec 22\nsystem_usec 20\nnr_periods %d\nnr_throttled 361\nthrottled_usec 18044021", 42371820+n*160233, n*10), []string{"usage_usec", "nr_periods", "nr_throttled", "throttled_usec"}, "time; periods, and those in which the quota ran out"},
		{"cpu", dir + "cpu.max", "50000 100000", nil, "the quota in each period, microseconds"},
		{"memory", dir + "memory.current", fmt.Sprint(36700160 + n*4096), nil, "bytes in use"},
		{"memory", dir + "memory.max", "67108864", nil, "the limit"},
		{"memory", dir + "memory.stat", "anon 29360128\nfile 4194304\nkernel 2097152\ninactive_file 3145728", []string{"anon", "inactive_file"}, "inactive_file can be taken back at will"},
		{"memory", dir + "memory.events", "low 0\nhigh 0\nmax 12\noom 0\noom_kill 0", []string{"max", "oom_kill"}, "the limit was met, and killed"},
		{"pids", dir + "pids.current", "7", nil, "processes and threads"},
		{"pids", dir + "pids.max", "32", nil, "the limit"},
		{"network", "/proc/48120/net/dev", "Inter-|   Receive                  |  Transmit\n face |bytes    packets errs    |bytes    packets errs\n  eth0: 41960731   31021    0      14688102   28711    0", nil, "what each link has carried"},
	}, nil
}

func (st *stage) namespaces(string) (list []Namespace, err error) {
	for i, kind := range kinds {
		host, own := fmt.Sprint(4026531835+i), fmt.Sprint(4026532508+i)
		if kind.name == "user" || kind.name == "time" {
			own = host
		}
		list = append(list, Namespace{kind.name, kind.holds, own, host, own == host})
	}
	return list, nil
}

func (st *stage) mounts(string) (Mounts, error) {
	const layers = "/var/lib/simple-container/layers/sha256/"
	return Mounts{Mounts: []Mount{
		{0, "/", "overlay", "overlay", []string{"rw", "relatime"}, []Layer{
			{"upper", "/var/lib/simple-container/containers/4f1c9ab27e30/upper"},
			{"lower", layers + "8d3ac3489996"}, {"lower", layers + "1bfbdb3a4c0e"}, {"lower", layers + "c0f1022b22a9"},
		}},
		{1, "/proc", "proc", "proc", []string{"rw", "nosuid", "nodev", "noexec"}, nil},
		{2, "/proc/sys", "proc", "proc : /sys", []string{"ro", "nosuid", "nodev", "noexec"}, nil},
		{1, "/dev", "tmpfs", "tmpfs", []string{"rw", "nosuid", "mode=755"}, nil},
		{2, "/dev/pts", "devpts", "devpts", []string{"rw", "nosuid", "noexec"}, nil},
		{2, "/dev/shm", "tmpfs", "shm", []string{"rw", "nosuid", "nodev", "noexec"}, nil},
		{1, "/sys", "sysfs", "sysfs", []string{"ro", "nosuid", "nodev", "noexec"}, nil},
		{2, "/sys/fs/cgroup", "cgroup2", "cgroup", []string{"ro", "nosuid", "nodev", "noexec"}, nil},
		{1, "/etc/resolv.conf", "ext4", "/dev/vda1 : /var/lib/simple-container/containers/4f1c9ab27e30/resolv.conf", []string{"rw", "relatime"}, nil},
	}}, nil
}

func (st *stage) processes(string) (Processes, error) {
	return Processes{Processes: []Process{
		{0, 48120, 1, "S", 0, 1, "nginx: master process nginx -g daemon off;"},
		{1, 48171, 29, "S", 101, 1, "nginx: worker process"},
		{1, 48172, 30, "R", 101, 1, "nginx: worker process"},
		{1, 48173, 31, "S", 101, 4, "nginx: cache manager process"},
		{0, 51209, 44, "S", 0, 1, "sh"},
		{1, 51274, 51, "S", 0, 1, "sleep 300"},
		{1, 51275, 52, "Z", 0, 1, "[curl]"},
	}}, nil
}

func (st *stage) path(string) (Path, error) {
	n := uint64(st.seconds())
	return Path{Hops: []Hop{
		{"link", "eth0", true, true, []string{"10.213.0.2/24", "fd5c:10::2/64"}, []string{"veth, mtu 1500", "default via 10.213.0.1"}, true, 41960731 + n*1500, 14688102},
		{"peer", "sc3f1c9a", false, true, nil, []string{"veth, mtu 1500", "on sc0"}, true, 14688102, 41960731 + n*1500},
		{"bridge", "sc0", false, true, []string{"10.213.0.1/24"}, []string{"bridge, mtu 1500"}, true, 14121920, 41112030 + n*1500},
		{"rules", "nft", false, true, nil, []string{"ip_forward = 1", "published 8080:80", "forward: inet simple_container", "postrouting: inet simple_container"}, false, 0, 0},
		{"uplink", "enp1s0", false, true, []string{"192.0.2.17/24"}, []string{"mtu 1500", "default via 192.0.2.1"}, true, 982120113 + n*1500, 44127090},
	}}, nil
}

// calls makes some as long as it is asked.
func (st *stage) calls(ctx context.Context, id string, tell func(Calls)) error {
	if id == "gone" {
		return fs.ErrNotExist
	}
	st.trace(1)
	defer st.trace(-1)
	script := []struct {
		name string
		Call
	}{
		{"epoll_wait", Call{30, `epoll_wait(8, [{EPOLLIN, 3}], 512, -1) = 1`, false, 3e-3}},
		{"accept4", Call{30, `accept4(6, {AF_INET, 10.213.0.1:51022}, SOCK_NONBLOCK) = 3`, false, 11e-6}},
		{"recvfrom", Call{30, `recvfrom(3, "GET / HTTP/1.1\r\nHost: shop\r\n"..., 1024, 0) = 78`, false, 8e-6}},
		{"openat", Call{30, `openat(AT_FDCWD, "/usr/share/nginx/html/index.html", O_RDONLY) = 11`, false, 19e-6}},
		{"fstat", Call{30, `fstat(11, {S_IFREG|0644, 615}) = 0`, false, 2e-6}},
		{"writev", Call{30, `writev(3, [{"HTTP/1.1 200 OK\r\n"..., 238}], 1) = 238`, false, 17e-6}},
		{"sendfile", Call{30, `sendfile(3, 11, [0], 615) = 615`, false, 15e-6}},
		{"close", Call{30, `close(11) = 0`, false, 2e-6}},
		{"openat", Call{30, `openat(AT_FDCWD, "/usr/share/nginx/html/favicon.ico", O_RDONLY) = ENOENT`, true, 9e-6}},
	}
	tick := time.NewTicker(often / 5)
	defer tick.Stop()
	counts := map[string]Count{}
	for n := 0; ; {
		c := Calls{Engine: "ebpf", Unsaid: 75}
		for range 16 {
			call := script[n%len(script)]
			c.Recent = append(c.Recent, call.Call)
			count := counts[call.name]
			count.Name, count.Calls = call.name, count.Calls+7
			if call.Failed {
				count.Failed += 7
			}
			counts[call.name] = count
			n++
		}
		c.Counts = slices.Collect(maps.Values(counts))
		tell(c)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (st *stage) trace(more int) {
	st.lock.Lock()
	defer st.lock.Unlock()
	st.traced += more
}
