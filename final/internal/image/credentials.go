//go:build linux

package image

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// What `docker login` and `podman login` keep. Both write the same format:
//
//	{"auths": {"registry.example": {"auth": "dXNlcjpwYXNzd29yZA=="}},
//	 "credsStore": "secretservice", "credHelpers": {"gcr.io": "gcloud"}}
type loginFile struct {
	Auths map[string]struct {
		Auth          string `json:"auth"` // base64 of USER:PASSWORD
		IdentityToken string `json:"identitytoken"`
		RegistryToken string `json:"registrytoken"`
	} `json:"auths"`
	Store   string            `json:"credsStore"`
	Helpers map[string]string `json:"credHelpers"`
}

// loginFiles are where they keep it: Docker's, then Podman's (containers-auth.json(5)).
func loginFiles() []string {
	home, _ := os.UserHomeDir() // without one there is none in it
	docker := os.Getenv("DOCKER_CONFIG")
	if docker == "" {
		docker = filepath.Join(home, ".docker")
	}
	files := []string{filepath.Join(docker, "config.json")}
	if file := os.Getenv("REGISTRY_AUTH_FILE"); file != "" {
		return append([]string{file}, files...) // somebody has said so
	}
	config := os.Getenv("XDG_CONFIG_HOME")
	if config == "" {
		config = filepath.Join(home, ".config")
	}
	if runtime := os.Getenv("XDG_RUNTIME_DIR"); runtime != "" {
		files = append(files, filepath.Join(runtime, "containers/auth.json"))
	}
	return append(files, filepath.Join(config, "containers/auth.json"))
}

// credentialsFor returns what was kept for a repository, or else for its registry; the first file that has
// something counts.
func credentialsFor(repository name.Repository) (authn.Authenticator, error) {
	for _, file := range loginFiles() {
		content, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			continue
		}
		if err != nil {
			return nil, err
		}
		var logins loginFile
		if err := json.Unmarshal(content, &logins); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		found, err := logins.lookup(repository)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if found != (authn.AuthConfig{}) {
			return authn.FromConfig(found), nil
		}
	}
	return authn.Anonymous, nil
}

func (l *loginFile) lookup(repository name.Repository) (authn.AuthConfig, error) {
	for _, key := range loginKeys(repository) {
		if helper := l.Helpers[key]; helper != "" {
			return askHelper(helper, key)
		}
		entry, ok := l.Auths[key]
		switch {
		case !ok:
		case entry.Auth == "" && entry.IdentityToken == "" && entry.RegistryToken == "" && l.Store != "":
			return askHelper(l.Store, key) // the file says only that there is one
		default:
			found := authn.AuthConfig{IdentityToken: entry.IdentityToken, RegistryToken: entry.RegistryToken}
			if entry.Auth != "" {
				plain, err := base64.StdEncoding.DecodeString(entry.Auth)
				if err != nil {
					return authn.AuthConfig{}, fmt.Errorf("auths: %s: auth: %w", key, err)
				}
				found.Username, found.Password, _ = strings.Cut(strings.TrimRight(string(plain), "\x00"), ":")
			}
			return found, nil
		}
	}
	if l.Store != "" {
		return askHelper(l.Store, serverOf(repository))
	}
	return authn.AuthConfig{}, nil
}

// loginKeys are the names under which a repository's credentials may be kept, the closest first. Podman keeps them
// for namespaces too; Docker has an address of old for its own registry.
func loginKeys(repository name.Repository) (keys []string) {
	for path := repositoryOf(repository); path != "."; path = filepath.Dir(path) {
		keys = append(keys, path)
	}
	host := keys[len(keys)-1]
	keys = append(keys, "https://"+host, "http://"+host)
	if host == "docker.io" {
		keys = append(keys, name.DefaultRegistry, authn.DefaultAuthKey)
	}
	return keys
}

// serverOf is what helpers know a registry by.
func serverOf(repository name.Repository) string {
	if repository.RegistryStr() == name.DefaultRegistry {
		return authn.DefaultAuthKey
	}
	return repository.RegistryStr()
}

// askHelper runs docker-credential-NAME, which answers with
//
//	{"ServerURL": "https://index.docker.io/v1/", "Username": "user", "Secret": "password"}
//
// or ends with 1 if it knows nothing. The user <token> says that the secret is an identity token.
func askHelper(helper, server string) (authn.AuthConfig, error) {
	command := exec.Command("docker-credential-"+helper, "get")
	command.Stdin = strings.NewReader(server)
	out, err := command.Output()
	if err != nil {
		if text := strings.ToLower(string(out)); strings.Contains(text, "credentials not found") {
			return authn.AuthConfig{}, nil
		}
		return authn.AuthConfig{}, fmt.Errorf("docker-credential-%s get %s: %w", helper, server, err)
	}
	var answer struct{ Username, Secret string }
	if err := json.Unmarshal(out, &answer); err != nil {
		return authn.AuthConfig{}, fmt.Errorf("docker-credential-%s get %s: %w", helper, server, err)
	}
	if answer.Username == "<token>" {
		return authn.AuthConfig{IdentityToken: answer.Secret}, nil
	}
	return authn.AuthConfig{Username: answer.Username, Password: answer.Secret}, nil
}
