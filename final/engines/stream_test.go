//go:build linux

package engines

import (
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/net/websocket"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Of each message in a stream of kubelet's, the first byte says what the rest is (kubectl has these numbers).
const (
	stdin = iota
	stdout
	stderr
	failure // how it ended: {"status":"Success"}, or what the exit code was
	resize  // {"Width":80,"Height":24}
)

// A stream is what kubectl exec and kubectl attach have.
type stream struct {
	*kubelet
	connection *websocket.Conn
	got        [failure + 1]string
}

// stream connects to where the plugin has said that one is, once.
func (k *kubelet) stream(address string) *stream {
	k.Helper()
	at, err := url.Parse(address)
	k.check(err)
	at.Scheme = "ws"
	config, err := websocket.NewConfig(at.String(), "http://localhost")
	k.check(err)
	config.Protocol = []string{"v4.channel.k8s.io"}
	connection, err := config.DialContext(k.soon())
	k.check(err)
	k.Cleanup(func() { _ = connection.Close() }) // the other side may have been first
	return &stream{kubelet: k, connection: connection}
}

func (s *stream) send(channel byte, text string) {
	s.Helper()
	s.check(websocket.Message.Send(s.connection, append([]byte{channel}, text...)))
}

// wait reads until there is a text in a channel.
func (s *stream) wait(channel int, text string) {
	s.Helper()
	for !strings.Contains(s.got[channel], text) {
		var message []byte
		if err := websocket.Message.Receive(s.connection, &message); err != nil {
			s.Fatalf("%s: no %q, but %q: %v", s.handler, text, s.got, err)
		}
		if len(message) > 0 && int(message[0]) < len(s.got) {
			s.got[message[0]] += string(message[1:])
		}
	}
}

// testStreams: kubectl exec and kubectl attach, with a terminal and without.
func testStreams(k *kubelet, _ *node) {
	p := k.run("streams", nil)
	defer p.remove()
	b := p.begin("reader", func(c *cri.ContainerConfig) { c.Stdin, c.StdinOnce = true, true },
		"sh", "-c", "echo begin; read line; echo got $line; read line || exit 9")
	exec, err := k.Exec(k.soon(), &cri.ExecRequest{
		ContainerId: b.id, Cmd: []string{"sh", "-c", "read line; echo out $line; echo err >&2; exit 6"},
		Stdin: true, Stdout: true, Stderr: true,
	})
	k.check(err)
	s := k.stream(exec.Url)
	s.send(stdin, "a line\n")
	s.wait(failure, "ExitCode")
	k.equal("streams", fmt.Sprintf("%q", s.got[:failure]), `["" "out a line\n" "err\n"]`)
	if !strings.Contains(s.got[failure], `"message":"6"`) {
		k.Errorf("%s: want exit code 6 in %s", k.handler, s.got[failure])
	}
	// A terminal, whose size changes.
	exec, err = k.Exec(k.soon(), &cri.ExecRequest{
		ContainerId: b.id, Cmd: []string{"sh"}, Tty: true, Stdin: true, Stdout: true,
	})
	k.check(err)
	s = k.stream(exec.Url)
	s.send(resize, `{"Width":77,"Height":33}`)
	s.send(stdin, "until [ \"$(stty size)\" = '33 77' ]; do sleep 0.05; done; tty; echo s''ize\r")
	s.wait(stdout, "size\r\n")
	s.wait(stdout, "/dev/pts/")
	s.send(stdin, "exit\r")
	s.wait(failure, "Success")
	// The container's own input ends when the one who has it goes.
	attach, err := k.Attach(k.soon(), &cri.AttachRequest{ContainerId: b.id, Stdin: true, Stdout: true, Stderr: true})
	k.check(err)
	s = k.stream(attach.Url)
	s.send(stdin, "and that\n")
	s.wait(stdout, "got and that\n")
	_ = s.connection.Close()
	k.equal("end", b.end(), "9 Error")
	b = p.begin("terminal", func(c *cri.ContainerConfig) { c.Stdin, c.Tty = true, true }, "sh")
	attach, err = k.Attach(k.soon(), &cri.AttachRequest{ContainerId: b.id, Stdin: true, Stdout: true, Tty: true})
	k.check(err)
	s = k.stream(attach.Url)
	s.send(resize, `{"Width":77,"Height":33}`)
	s.send(stdin, "until [ \"$(stty size)\" = '33 77' ]; do sleep 0.05; done; exit 5\r")
	k.equal("end", b.end(), "5 Error")
}
