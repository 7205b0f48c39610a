//go:build linux

package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// The index of names is a directory of symbolic links, NAME -> ID. To make one that is there is an error of the
// kernel's, so of fifty commands that want a name one gets it, and there is no file that could be half written.

// A NameTakenError says that a name is another container's.
type NameTakenError struct{ Name, ID string }

func (e *NameTakenError) Error() string {
	return fmt.Sprintf("the name %q is in use by container %s: remove that one first (final rm %s), or choose another name",
		e.Name, Short(e.ID), e.Name)
}

// claimName makes a name a container's, whose directory is there already, hidden perhaps.
func (e *Engine) claimName(name, id string) error {
	held, err := lock(e.names(), unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer held.Close()
	path := filepath.Join(e.names(), name)
	owner, err := os.Readlink(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return os.Symlink(id, path)
	case err != nil:
		return err
	case e.exists(owner):
		return &NameTakenError{name, owner}
	}
	// Whoever made or removed that container was killed between its directory and the name.
	if err := os.Remove(path); err != nil {
		return err
	}
	return os.Symlink(id, path)
}

// exists tells whether there is a container with an id, or one is being made. One that nobody works on and that
// was never finished is none.
func (e *Engine) exists(id string) bool {
	if _, err := os.Lstat(e.dir(id)); err == nil {
		return true
	}
	held, err := lock(e.hidden(id), unix.LOCK_SH|unix.LOCK_NB)
	if err == nil {
		held.Close()
	}
	return errors.Is(err, unix.EWOULDBLOCK)
}

// releaseName gives a name up, if it is the container's.
func (e *Engine) releaseName(name, id string) error {
	held, err := lock(e.names(), unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer held.Close()
	path := filepath.Join(e.names(), name)
	if owner, err := os.Readlink(path); err != nil || owner != id {
		return nil
	}
	return os.Remove(path)
}

// giveName claims a name that was asked for, or invents one that is free.
func (e *Engine) giveName(asked, id string) (string, error) {
	if asked != "" {
		asked = strings.TrimPrefix(asked, "/") // as Docker's inspect shows it
		if err := checkName(asked); err != nil {
			return "", err
		}
		return asked, e.claimName(asked, id)
	}
	for try := 0; ; try++ {
		name := inventName(try)
		err := e.claimName(name, id)
		if _, taken := errors.AsType[*NameTakenError](err); !taken {
			return name, err
		}
	}
}

// inventName makes a name of two words; after some tries a number makes it new.
func inventName(try int) string {
	name := adjectives[rand.IntN(len(adjectives))] + "_" + nouns[rand.IntN(len(nouns))]
	if try > 5 {
		name += fmt.Sprint(rand.IntN(1000 * try))
	}
	return name
}

var adjectives = strings.Fields(`
	airy amber ample autumn azure balmy bold brave breezy bright brisk broad calm candid cheerful chilly civil clear
	clever cosy crisp curious dapper daring dear deep deft early earnest easy eager even fair famous fine fleet
	fluent fond frank free fresh gentle glad golden grand green happy hardy hasty hazy hearty honest humble jolly
	keen kind lively lofty loyal lucid lucky lunar mellow merry mild modest narrow neat nimble noble patient placid
	plain polite proud quick quiet rapid rare ready rosy royal rustic sandy serene sharp shiny silent silver simple
	sleek smooth snowy solar solid steady still stout sturdy subtle sunny sweet swift tame tidy tiny tranquil
	trusty upright vast velvet vivid warm wary wild winter wise witty young zesty`)

var nouns = strings.Fields(`
	acorn alder anchor aspen badger barge basin beacon beaver birch bison brook canal canyon cedar cherry clover
	comet coral crane creek cricket crow dahlia delta dolphin dune eagle elm ember falcon fern finch fjord forest
	fox garden gecko geyser glacier grove gull harbour hare hawk hazel heron hill holly ibis island ivy jay juniper
	kestrel kiln lagoon lake lantern larch lark laurel lichen lily linden lizard lotus lynx maple marsh meadow mole
	moose moss nettle newt oak oasis olive orchid osprey otter owl oyster pebble pelican pine plover pond poplar
	prairie quail quarry rapids raven reef ridge river robin rowan sage salmon sequoia shore sparrow spruce stork
	summit swan swift teal thistle thrush tide trout tulip valley vole walnut walrus willow wren yew zebra`)
