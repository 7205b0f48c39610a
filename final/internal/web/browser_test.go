//go:build linux

package web

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"iter"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// These tests have a real browser look at the page: Debian's chromium. WEB_SCREENSHOTS names a directory for the
// pictures; CI keeps them.

// A browser is a page in Chromium, and what it did.
type browser struct {
	*testing.T
	ctx context.Context
	url string

	lock     sync.Mutex
	problems []string // what the page wrote to the console, and the requests that went elsewhere
}

// serve serves a source for as long as the test runs.
func serve(t *testing.T, s *Server) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, listener) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return "http://" + listener.Addr().String() + "/"
}

// openBrowser opens the page of a server, which begins when the browser has, or an empty page.
func openBrowser(t *testing.T, server func() *Server, width, height int64) *browser {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%v: vagrant/provision.sh installs it", err)
		}
		t.Skip(err)
	}
	t.Parallel()
	b := &browser{T: t, url: "about:blank"}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(int(width), int(height)),
		chromedp.NoSandbox, // root has none
		chromedp.WSURLReadTimeout(2*time.Minute),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"), // nothing but loopback
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-gpu", true),
		chromedp.Flag("font-render-hinting", "none"),
	)
	allocated, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(allocated)
	t.Cleanup(cancel)
	b.ctx = ctx
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	go b.read(chromedp.Console(ctx))
	call(b, network.Enable, network.EnableParams{})
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 600,
	})
	b.colours("dark")
	if server != nil {
		url := serve(t, server())
		b.lock.Lock()
		b.url = url
		b.lock.Unlock()
	}
	b.do(chromedp.Navigate(b.url))
	return b
}

// hear notes requests that go elsewhere.
func (b *browser) hear(event any) {
	e, ok := event.(*network.EventRequestWillBeSent)
	if !ok {
		return
	}
	b.lock.Lock()
	ours := b.url
	b.lock.Unlock()
	if to, err := url.Parse(e.Request.URL); err != nil || to.Scheme != "data" && !strings.HasPrefix(e.Request.URL, ours) {
		b.note("a request to " + e.Request.URL)
	}
}

// read notes all that comes to the console: what the page writes, exceptions, and what the policy forbids.
func (b *browser) read(console iter.Seq2[chromedp.ConsoleMessage, error]) {
	for message, err := range console {
		if err != nil {
			return
		}
		b.note(fmt.Sprintf("console: %s %s %s:%d", message.Type, message.Text, message.URL, message.Line))
	}
}

func (b *browser) note(problem string) {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.problems = append(b.problems, problem)
}

// clean fails the test if anything was noted.
func (b *browser) clean() {
	b.Helper()
	b.lock.Lock()
	defer b.lock.Unlock()
	for _, problem := range b.problems {
		b.Error(problem)
	}
}

func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.Fatal(err)
	}
}

func (b *browser) colours(scheme string) {
	b.Helper()
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme},
			{Name: "prefers-reduced-motion", Value: "reduce"}, // no picture of half a transition
		},
	})
}

// ask evaluates an expression.
func ask[T any](b *browser, expression string) T {
	b.Helper()
	return get(b, chromedp.Evaluate[T](expression))
}

// get carries out an action that has a result.
func get[T any](b *browser, action chromedp.Action[T]) T {
	b.Helper()
	value, err := chromedp.Run(b.ctx, action)
	if err != nil {
		b.Fatal(err)
	}
	return value
}

// settle waits until the page has been drawn.
func (b *browser) settle() {
	b.Helper()
	const drawn = `new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))`
	get(b, chromedp.Evaluate[bool](drawn, chromedp.EvalAwaitPromise))
}

// call calls the browser's own protocol.
func call[P, R any](b *browser, command cdp.Command[P, R], params P) {
	b.Helper()
	get(b, func(ctx context.Context, _ *chromedp.Target) (R, error) { return chromedp.Call(ctx, command, params) })
}

// await waits until an expression is true.
func (b *browser) await(expression string) {
	b.Helper()
	tried := "(() => { try { return Boolean(" + expression + ") } catch { return false } })()" // what is not there yet
	for end := time.Now().Add(time.Minute); !ask[bool](b, tried); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			b.picture("failed")
			b.Fatalf("never: %s\nthe page says: %s", expression, ask[string](b, "document.body.innerText"))
		}
	}
}

// press types keys, one by one.
func (b *browser) press(keys string) {
	b.Helper()
	if keys == "/" { // chromedp has the character typed also when the page has dealt with the key
		call(b, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeRawKeyDown, Key: keys})
		call(b, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyUp, Key: keys})
		return
	}
	b.do(chromedp.KeyEvent(keys))
}

// picture keeps a screenshot.
func (b *browser) picture(name string) []byte {
	b.Helper()
	png := get(b, chromedp.CaptureScreenshot())
	dir := os.Getenv("WEB_SCREENSHOTS")
	if dir == "" {
		dir = b.TempDir()
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		b.Fatal(err)
	}
	return png
}

// viewNames are the views, by their keys.
var viewNames = []string{"figures", "files", "namespaces", "mounts", "processes", "path", "calls"}

// shown is true when a view is open and has something in it.
func shown(view string) string {
	return fmt.Sprintf(`document.querySelector("#view-%s")?.getAttribute("aria-current") === "page" &&
		document.querySelector("#view").innerText.length > 40`, view)
}

func name(want string) string {
	return fmt.Sprintf(`document.querySelector("#name").textContent === %q`, want)
}

// Every view, in both colours: what is in it, and that nothing sticks out of the window.
func TestBrowserViews(t *testing.T) {
	b := openBrowser(t, newStage().server, 1280, 720)
	b.await(name("web"))
	content := map[string]string{
		"figures": "0.50", "files": "nr_throttled", "namespaces": "4026532508", "mounts": "/dev/shm",
		"processes": "48171", "path": "10.213.0.2/24", "calls": "epoll_wait",
	}
	for i, view := range viewNames {
		b.press(fmt.Sprint(i + 1))
		b.await(shown(view))
		b.await(fmt.Sprintf(`document.querySelector("#view").textContent.includes(%q)`, content[view]))
		b.await(`document.documentElement.scrollWidth <= innerWidth`)
		for _, scheme := range []string{"dark", "light"} {
			b.colours(scheme)
			b.settle()
			b.picture(fmt.Sprintf("%d-%s-%s", i+1, view, scheme))
		}
	}
	b.clean()
}

// The plots move with the time, and what is written on them stands still.
func TestBrowserPlots(t *testing.T) {
	b := openBrowser(t, newStage().server, 1280, 720)
	const line = `document.querySelector("#figure-cpu .line").getAttribute("d")`
	const limit = `document.querySelector("#figure-memory .limit").getAttribute("y1")`
	b.await(line + ".length > 500")
	b.await(`document.querySelector("#figure-cpu").textContent.includes("throttled")`)
	before, at := ask[string](b, line), ask[string](b, limit)
	b.await(fmt.Sprintf("%s !== %q", line, before))
	if now := ask[string](b, limit); now != at {
		t.Errorf("the limit moved from %s to %s", at, now)
	}
	b.press("j")
	b.await(name("worker"))
	b.await(`document.querySelector("#figure-memory").textContent.includes("OOM kill")`)
	b.picture("worker-killed")
	b.press("k")

	b.press("p")
	b.await(`document.querySelector("#state").textContent === "paused"`)
	b.settle() // a picture that was asked for before is drawn yet
	before = ask[string](b, line)
	time.Sleep(1500 * time.Millisecond)
	if ask[string](b, line) != before {
		t.Error("paused, and the plot moves")
	}
	b.press("p")
	b.await(fmt.Sprintf("%s !== %q", line, before))
	b.clean()
}

func TestBrowserKeys(t *testing.T) {
	st := newStage()
	b := openBrowser(t, st.server, 1280, 720)
	b.await(name("web"))
	for _, step := range []struct{ keys, want string }{
		{"j", name("worker")},
		{kb.ArrowDown, name("migrate")},
		{"j", name("migrate")},
		{"k", name("worker")},
		{kb.ArrowUp, name("web")},
		{kb.ArrowRight, shown("files")},
		{kb.ArrowLeft, shown("figures")},
		{"?", `document.querySelector("#help").open`},
		{"j", name("web")}, // not behind the help
		{"?", `!document.querySelector("#help").open`},
		{"/", `document.activeElement.id === "filter"`},
		{"python", `document.querySelectorAll("#list li").length === 1`},
		{kb.Enter, name("worker")},
		{kb.Escape, `document.querySelectorAll("#list li").length === 3`},
		{"t", `document.documentElement.dataset.theme === "light"`},
		{"t", `document.documentElement.dataset.theme === "dark"`},
		{"t", `document.documentElement.dataset.theme === undefined`},
		{"5", shown("processes")},
	} {
		b.press(step.keys)
		b.await(step.want)
	}
	if at := ask[string](b, "location.hash"); at != "#b07d52c6e991/processes" {
		t.Errorf("the address is %s", at)
	}
	// Focus stays where it is, whatever the page is told.
	b.press(kb.Tab)
	b.press(kb.Tab)
	focus := ask[string](b, "document.activeElement.outerHTML")
	time.Sleep(1500 * time.Millisecond)
	if ask[bool](b, `document.activeElement === document.body`) {
		t.Errorf("the focus is lost; it was on %s", focus)
	}
	b.press("?")
	b.settle()
	b.picture("help")
	b.clean()
}

// Containers come and go while the page is open, and the page says so to those who do not see it.
func TestBrowserContainersComeAndGo(t *testing.T) {
	st := newStage()
	all := st.containers
	st.containers = nil
	b := openBrowser(t, st.server, 1280, 720)
	b.await(`document.querySelector("h1").checkVisibility() === false && document.body.innerText.includes("sudo final run -it lab")`)
	b.picture("empty-dark")
	b.colours("light")
	b.settle()
	b.picture("empty-light")
	st.add(all[0])
	b.await(name("web"))
	b.await(`document.querySelector("#said").textContent === "web is running."`)
	b.await(shown("figures"))
	st.lock.Lock()
	st.containers[0].Status, st.containers[0].Pid = "stopped", 0
	st.lock.Unlock()
	b.await(`document.querySelector("#said").textContent === "web is now stopped."`)
	st.lock.Lock()
	st.containers = nil
	st.lock.Unlock()
	b.await(`document.body.innerText.includes("No container yet")`)
	b.clean()
}

// The last row reads it: text has at least the contrast that WCAG asks of small type (AAA for what matters, AA for
// the colours), in both schemes.
func TestBrowserContrast(t *testing.T) {
	b := openBrowser(t, newStage().server, 1280, 720)
	b.await(shown("figures"))
	const measure = `(() => {
		const probe = document.body.appendChild(document.createElement("i"));
		const shine = (name) => {
			probe.style.color = "var(" + name + ")";
			const [r, g, b] = getComputedStyle(probe).color.match(/[0-9.]+/g).map((c) => {
				c /= 255;
				return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
			});
			return 0.2126 * r + 0.7152 * g + 0.0722 * b;
		};
		const result = {};
		for (const name of ["--ink", "--dim", "--accent", "--alarm"]) {
			for (const ground of ["--ground", "--raised"]) {
				const [low, high] = [shine(name), shine(ground)].sort((a, b) => a - b);
				result[name + " on " + ground] = (high + 0.05) / (low + 0.05);
			}
		}
		probe.remove();
		return result;
	})()`
	for _, scheme := range []string{"dark", "light"} {
		b.colours(scheme)
		b.settle()
		for pair, ratio := range ask[map[string]float64](b, measure) {
			least := 4.5
			if strings.HasPrefix(pair, "--ink") {
				least = 12
			} else if pair == "--dim on --ground" {
				least = 7
			}
			if ratio < least {
				t.Errorf("%s: %s: contrast %.1f, want %.1f", scheme, pair, ratio, least)
			}
		}
	}
	b.clean()
}

// Who does not see the page finds the way: names on what has a role, one main heading, a language.
func TestBrowserAccessible(t *testing.T) {
	b := openBrowser(t, newStage().server, 1280, 720)
	for i, view := range viewNames {
		b.press(fmt.Sprint(i + 1))
		b.await(shown(view))
		for rule, expression := range map[string]string{
			"a heading for the page": `[...document.querySelectorAll("h1")].filter((e) => e.checkVisibility()).length === 1`,
			"a language":             `document.documentElement.lang === "en"`,
			"a title":                `document.title.startsWith("web")`,
			"names on pictures":      `[...document.querySelectorAll("svg[role=img]")].every((e) => e.getAttribute("aria-label"))`,
			"names on links":         `[...document.querySelectorAll("a, button")].every((e) => e.textContent.trim())`,
			"heads with a scope":     `[...document.querySelectorAll("th")].every((e) => e.scope)`,
			"one live region":        `document.querySelectorAll("[aria-live]").length === 1`,
			"a current container":    `document.querySelectorAll("#list [aria-current]").length === 1`,
			"a current view":         `document.querySelectorAll("#views [aria-current=page]").length === 1`,
			"no repeated id":         `(ids => new Set(ids).size === ids.length)([...document.querySelectorAll("[id]")].map((e) => e.id))`,
		} {
			if !ask[bool](b, expression) {
				t.Errorf("%s: not: %s", view, rule)
			}
		}
	}
	// Figures are not read out: what is said is what happens.
	if said := ask[string](b, `document.querySelector("#said").textContent`); said != "" {
		t.Errorf("said %q though nothing happened", said)
	}
	b.clean()
}

func TestBrowserPhone(t *testing.T) {
	b := openBrowser(t, newStage().server, 390, 844)
	b.await(name("web"))
	for i, view := range viewNames {
		b.do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`document.querySelector("#view-%s").click()`, view)))
		b.await(shown(view))
		b.settle()
		b.await(`document.documentElement.scrollWidth <= innerWidth`)
		b.picture(fmt.Sprintf("phone-%d-%s", i+1, view))
	}
	b.clean()
}

// What a container says is text, wherever it stands.
func TestBrowserHostileText(t *testing.T) {
	const attack = `<img src=x onerror="window.attacked=1"><script>window.attacked=1</script>"'` + "`" + `${window.attacked=1}`
	st := newStage()
	st.containers = []Container{{attack + "/#%zz", attack, attack, "running", time.Now(), 7, nil}}
	source := st.source()
	source.Files = func(string) ([]File, error) { return []File{{attack, "/x/" + attack, attack, nil, attack}}, nil }
	source.Mounts = func(string) (Mounts, error) {
		return Mounts{Mounts: []Mount{{0, attack, attack, attack, []string{attack}, []Layer{{attack, attack}}}}}, nil
	}
	source.Processes = func(string) (Processes, error) {
		tree := Processes{More: 99}
		for i := range mostRows {
			tree.Processes = append(tree.Processes, Process{Depth: i, Host: i, Inside: i, State: attack, Command: attack})
		}
		return tree, nil
	}
	source.Path = func(string) (Path, error) {
		return Path{Ends: attack, Hops: []Hop{{Kind: attack, Name: attack, Addresses: []string{attack}, Facts: []string{attack}}}}, nil
	}
	source.Calls = func(_ context.Context, _ string, tell func(Calls)) error {
		tell(Calls{Engine: attack, Why: attack, Counts: []Count{{Name: attack}}, Recent: []Call{{Text: attack}}})
		return errors.New(attack)
	}
	source.Namespaces = func(string) ([]Namespace, error) { return nil, errors.New(attack) }
	b := openBrowser(t, func() *Server { return New(source) }, 1280, 720)
	b.await(fmt.Sprintf(`document.querySelector("#name").textContent === %s`, strconv.Quote(attack)))
	for i, view := range viewNames {
		b.press(fmt.Sprint(i + 1))
		b.await(shown(view))
		if view != "figures" {
			b.await(`document.querySelector("#view").textContent.includes("<img src=x")`)
		}
		b.await(`document.documentElement.scrollWidth <= innerWidth`)
	}
	if ask[bool](b, `"attacked" in window || document.querySelectorAll("img, #view script").length > 0`) {
		t.Error("a name became markup")
	}
	b.clean()
}

// A page whose server goes away says so, and comes back with it.
func TestBrowserReconnects(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- newStage().server().Serve(ctx, listener) }()
	b := openBrowser(t, nil, 1280, 720)
	b.do(chromedp.Navigate("http://" + address + "/"))
	b.await(`document.querySelector("#state").textContent === "live"`)
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	b.await(`document.querySelector("#state").textContent === "not connected"`)
	again, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("the port went to somebody else meanwhile: %v", err)
	}
	ctx, stop = context.WithCancel(t.Context())
	go func() { ended <- newStage().server().Serve(ctx, again) }()
	b.await(`document.querySelector("#state").textContent === "live"`)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

var update = flag.Bool("update", false, "take the picture of the README anew")

// The README's picture is of this page, and small enough for a repository.
func TestBrowserReadme(t *testing.T) {
	const file, most = "../../dashboard.png", 200 << 10
	if !*update {
		info, err := os.Stat(file)
		if errors.Is(err, os.ErrNotExist) {
			t.Skipf("runs where the source is: %v", err)
		}
		if err != nil || info.Size() > most {
			t.Errorf("%s: %v, %d bytes, want at most %d; -update takes it anew", file, err, info.Size(), most)
		}
		return
	}
	b := openBrowser(t, newStage().server, 1280, 720)
	b.await(`document.querySelector("#figure-cpu .line").getAttribute("d").length > 500`)
	b.settle()
	if err := os.WriteFile(file, b.picture("readme"), 0o644); err != nil {
		t.Fatal(err)
	}
}
