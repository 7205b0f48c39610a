# A thin index: every target is a command or two that you can type yourself.

# Containers need root; `make` does not. What root builds in your checkout gets no version stamp: git does not
# answer root about another's repository. sudo forgets the environment, also what it says of the way out.
way_out := $(foreach name,GOPROXY GOSUMDB GONOSUMDB http_proxy https_proxy no_proxy,$(if $($(name)),"$(name)=$($(name))"))
root := $(if $(filter 0,$(shell id -u)),,sudo env "PATH=$(PATH)" $(way_out))
go   := $(root) env GOFLAGS=-buildvcs=false "DEBOOTSTRAP=$(DEBOOTSTRAP)" go

fuzz := test -run '^$$' -fuzzminimizetime 1000x -fuzz

# The grader of every step, of which the last one's has all tests of the others.
steps := step01-reexec step02-rootfs step03-cgroups step04-network step05-metrics

# The packages of final whose tests look at the kernel: on cgroup v2, and on another kernel, it answers otherwise.
final := executor console rootfs confine cgroup runtime network metrics trace image overlay cp engine

.PHONY: help run setup setup-run test test-vm fuzz race lint bench forward clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

run: setup-run rootfs ## open a container: the last step, with all of it (STEP=step01-reexec for another)
	$(go) run ./$(or $(STEP),step05-metrics)

rootfs: # the image of the containers, out of nothing but this repository
	$(go) run ./final rootfs rootfs

setup-run: # what `make run` needs; quick when it is there
	$(root) vagrant/provision.sh --minimal

setup: ## install what the workshop, the tests and the micro-VM need
	$(root) vagrant/provision.sh

test: setup ## everything, natively
	$(go) test -timeout 15m ./...

test-vm: setup ## the graders, on both architectures, and final with its engines on cgroup v2, in a virtual machine
	$(go) run ./vagrant/microvm -once -arch amd64 $(addprefix ./,$(steps))
	$(go) run ./vagrant/microvm -once -arch arm64 $(addprefix ./,$(steps))
	$(go) run ./vagrant/microvm $(addprefix ./final/internal/,$(final)) ./final/engines
	$(go) run ./vagrant/microvm -append security=selinux -run SELinux ./final/internal/runtime ./final/internal/engine
	$(go) run ./vagrant/microvm -run Dashboard ./final

# So many inputs, and not so many seconds: the end of the time is a failure now and then (go.dev/issue/75804).
fuzz: ## some seconds for each fuzz target
	$(go) $(fuzz) FuzzArguments -fuzztime 20000x ./final
	$(go) $(fuzz) FuzzFlagSet -fuzztime 20000x ./final
	$(go) $(fuzz) FuzzCreate -fuzztime 200000x ./final/internal/plan
	$(go) $(fuzz) FuzzSpec -fuzztime 200000x ./final/internal/decode
	$(go) $(fuzz) FuzzCompile -fuzztime 100000x ./final/internal/confine
	$(go) $(fuzz) FuzzUnpack -fuzztime 2000x ./final/internal/image
	$(go) $(fuzz) FuzzParse -fuzztime 20000x ./final/internal/ocispec
	$(go) $(fuzz) FuzzLookUpUser -fuzztime 50000x ./final/internal/ocispec

race: ## the race detector, where threads share something (it needs a C compiler)
	$(go) test -race $(addprefix ./final/internal/,decode op plan console kernel)

lint: ## what compilers and checkers say, for every system that the code must compile on
	test -z "$$(gofmt -l .)" && go vet ./... && GOARCH=arm64 go vet ./... && GOOS=darwin go vet ./... && GOOS=windows go vet ./... && go vet -tags engine ./final

bench: ## how long a container, a pull, a network, the figures and a trace take, beside other engines where there are any
	$(go) test -run '^$$' -bench Step .
	$(go) test -run '^$$' -bench LifeCycle -benchtime 200x ./final
	$(go) test -run '^$$' -bench Pull -benchtime 7x ./final
	$(go) test -run '^$$' -bench . -benchtime 1x ./final/internal/network
	$(go) test -run '^$$' -bench . -benchtime 100x ./final/internal/metrics
	$(go) test -run '^$$' -bench . -benchtime 20x ./final/internal/overlay ./final/internal/ocispec
	$(go) test -run '^$$' -bench Overhead -benchtime 15x ./final/internal/trace

forward: ## replay a step's uncommitted change in all later steps: make forward FROM=step02-rootfs
	.ci/forward $(FROM)

clean: ## remove what crashed containers left
	$(go) run ./final clean
