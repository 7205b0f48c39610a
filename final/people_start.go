//go:build linux && !engine

package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/simple-container/simple-container/final/internal/console"
	"github.com/simple-container/simple-container/final/internal/engine"
)

// startFlags are those of start.
type startFlags struct {
	attach, stdin bool
	keys          string
}

func (f *startFlags) add(flags *pflag.FlagSet) {
	flags.BoolVarP(&f.attach, "attach", "a", false, "stay with it, and end with its exit code")
	flags.BoolVarP(&f.stdin, "interactive", "i", false, "it reads what is typed here")
	flags.StringVar(&f.keys, "detach-keys", console.DefaultDetachKeys, "keys that leave a terminal, and the container running")
}

func startCommand(s *session) *cobra.Command {
	var f startFlags
	command := &cobra.Command{
		Use:   "start CONTAINER...",
		Short: "Start containers that do not run",
		Args:  someContainers,
		RunE: func(_ *cobra.Command, args []string) error {
			if !f.attach && !f.stdin {
				return s.eachContainer(args, func(c *engine.Container) error {
					if _, err := c.Start(nil); err != nil && !errors.Is(err, engine.ErrRunning) {
						return err
					}
					return nil
				})
			}
			if len(args) > 1 {
				return errors.New("start: to stay with several containers at once is not possible: name one")
			}
			keys, err := console.ParseKeys(f.keys)
			if err != nil {
				return err
			}
			c, err := s.engine().Find(args[0])
			if err != nil {
				return err
			}
			streams, release := presence{stdin: f.stdin && c.Options.Stdin, proxy: true, keys: keys}.streams()
			defer release()
			client, err := c.Start(&streams)
			if err != nil {
				return failedRun(err)
			}
			return attend(c, client, streams)
		},
	}
	f.add(command.Flags())
	complete(command, completeContainers(s, engine.Created, engine.Exited))
	return command
}

// someContainers wants one at least.
func someContainers(command *cobra.Command, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("%s: want a container: final ps -a lists them", command.Name())
	}
	return nil
}

// oneContainer wants one.
func oneContainer(command *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("%s: %d arguments: want: final %s", command.Name(), len(args), command.Use)
	}
	return nil
}

// eachContainer does something to containers one by one, prints the names of those it was done to as they were
// given, and goes on after an error.
func (s *session) eachContainer(names []string, do func(*engine.Container) error) error {
	e, errs := s.engine(), []error(nil)
	for _, name := range names {
		c, err := e.Find(name)
		if err == nil {
			err = do(c)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		fmt.Println(name)
	}
	return errors.Join(errs...)
}
