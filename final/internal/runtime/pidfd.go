//go:build linux

package runtime

import (
	"fmt"
	"os"

	"github.com/simple-container/simple-container/final/internal/console"
)

// sendPidfd passes a pidfd to whoever listens at a socket's path.
func sendPidfd(path string, pidfd *os.File) error {
	socket, err := console.Dial(path)
	if err != nil {
		return fmt.Errorf("--pidfd-socket: %w", err)
	}
	defer socket.Close()
	if err := console.Send(socket, pidfd); err != nil {
		return fmt.Errorf("--pidfd-socket: %w", err)
	}
	return nil
}
