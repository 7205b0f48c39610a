//go:build linux

package image

import (
	"encoding/json"
	"fmt"
	"path"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Instructions are those of a Dockerfile that docker commit and import take with --change.
const Instructions = "CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME, WORKDIR"

// Change applies [Instructions] to a configuration.
func Change(config *v1.Config, instructions []string) error {
	hasCmd := false
	for _, text := range instructions {
		word, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
		word, rest = strings.ToUpper(word), strings.TrimSpace(rest)
		if rest == "" {
			return fmt.Errorf("change %q: the instruction says nothing", text)
		}
		hasCmd = hasCmd || word == "CMD"
		if word == "ENTRYPOINT" && !hasCmd {
			config.Cmd = nil // it was meant for another entry point
		}
		if err := changeOne(config, word, rest); err != nil {
			return fmt.Errorf("change %q: %w", text, err)
		}
	}
	return nil
}

func changeOne(config *v1.Config, word, rest string) error {
	switch word {
	case "CMD":
		config.Cmd = commandLine(rest)
	case "ENTRYPOINT":
		config.Entrypoint = commandLine(rest)
	case "ENV":
		return eachPair(rest, func(key, value string) { config.Env = setVariable(config.Env, key, value) })
	case "LABEL":
		return eachPair(rest, func(key, value string) { put(&config.Labels, key, value) })
	case "EXPOSE":
		return eachWord(rest, func(port string) {
			if !strings.Contains(port, "/") {
				port += "/tcp"
			}
			put(&config.ExposedPorts, port, struct{}{})
		})
	case "VOLUME":
		add := func(dir string) { put(&config.Volumes, dir, struct{}{}) }
		if list, ok := jsonList(rest); ok {
			for _, dir := range list {
				add(dir)
			}
			return nil
		}
		return eachWord(rest, add)
	case "USER":
		config.User = rest
	case "WORKDIR":
		dir := rest
		if !path.IsAbs(dir) {
			dir = path.Join("/", config.WorkingDir, dir)
		}
		config.WorkingDir = path.Clean(dir)
	case "STOPSIGNAL":
		config.StopSignal = rest
	case "ONBUILD":
		config.OnBuild = append(config.OnBuild, rest)
	default:
		return fmt.Errorf("%s: not one of %s", word, Instructions)
	}
	return nil
}

func put[V any](m *map[string]V, key string, value V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[key] = value
}

// commandLine reads ["a", "b c"], or a line for the shell.
func commandLine(text string) []string {
	if list, ok := jsonList(text); ok {
		return list
	}
	return []string{"/bin/sh", "-c", text}
}

func jsonList(text string) (list []string, ok bool) {
	return list, strings.HasPrefix(text, "[") && json.Unmarshal([]byte(text), &list) == nil
}

func setVariable(env []string, key, value string) []string {
	for i, variable := range env {
		if strings.HasPrefix(variable, key+"=") {
			env[i] = key + "=" + value
			return env
		}
	}
	return append(env, key+"="+value)
}

// eachPair reads KEY=VALUE ..., or KEY VALUE with all of the rest.
func eachPair(text string, do func(key, value string)) error {
	words, err := splitWords(text)
	if err != nil {
		return err
	}
	if !strings.Contains(words[0], "=") {
		key, value, ok := strings.Cut(text, " ")
		if !ok {
			return fmt.Errorf("%s has no value", key)
		}
		do(key, strings.TrimSpace(value))
		return nil
	}
	for _, word := range words {
		key, value, ok := strings.Cut(word, "=")
		if !ok || key == "" {
			return fmt.Errorf("%q: want KEY=VALUE", word)
		}
		do(key, value)
	}
	return nil
}

func eachWord(text string, do func(word string)) error {
	words, err := splitWords(text)
	for _, word := range words {
		do(word)
	}
	return err
}

// splitWords splits at spaces that are neither quoted nor escaped.
func splitWords(text string) (words []string, err error) {
	var word strings.Builder
	quote, escaped, within := rune(0), false, false
	for _, r := range text {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped, within = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote, within = r, true
		case quote == 0 && (r == ' ' || r == '\t'):
			if within {
				words = append(words, word.String())
			}
			word.Reset()
			within = false
		default:
			word.WriteRune(r)
			within = true
		}
	}
	if quote != 0 || escaped {
		return nil, fmt.Errorf("%s: a quote or backslash without an end", text)
	}
	if within {
		words = append(words, word.String())
	}
	return words, nil
}
