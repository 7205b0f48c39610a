//go:build linux

package trace

import (
	"github.com/cilium/ebpf/asm"
)

// The programs that run in the kernel, in the Go assembler of cilium/ebpf: no C compiler, no object files, and the
// same text for both processors. Each is on a raw tracepoint (Linux 4.17), whose context is the tracepoint's
// arguments, 8 bytes each:
//
//	sys_enter(regs, number)   remembers when which thread went in, and with what
//	sys_exit(regs, result)    counts, and passes the event on
//	sched_process_exit(task)  does so for the call that a thread died in, and forgets the thread
//	sched_process_exec(task)  begins to count, where that is to begin with the command
//
// A thread is known by the address of its task_struct: unlike its number, that does not change when one of many
// threads becomes another program.

// slots is how many numbers each kind of program has room for; x32's go beyond 512. There are three kinds, and one
// slot more for numbers that are none.
const (
	slots    = 576
	otherOne = 3 * slots
)

// The record of a thread, as the programs write it and ebpf.go reads it. Who only counts needs the first part.
const (
	recordStart    = 0  // the way in, in nanoseconds since boot
	recordSlot     = 8  // u32: the call's slot plus one; 0 is outside of calls
	recordNumber   = 12 // u32: the call's number
	recordCounting = 16

	recordPids     = 16 // process and thread, in the first PID namespace's numbers
	recordIn       = 24 // the same in the container's; 0 if it has another one
	recordResult   = 32
	recordDuration = 40
	recordEndless  = 48 // u32
	recordSizes    = 52 // 2 × s32: bytes of the texts; less than 0 if they could not be read
	recordWhich    = 60 // u32: as recordSlot, and it stays
	recordRegs     = 64 // struct pt_regs, as far as it is of use
	recordTexts    = recordRegs + regsSize
	recordSize     = recordTexts + 2*pathRoom
)

// The totals of a call on one processor.
const (
	totalCalls   = 0
	totalErrors  = 8
	totalEndless = 16
	totalTime    = 24
	totalLatency = 32
	totalSize    = totalLatency + 8*len(Histogram{})
)

// What is wanted of a call: a value of the map wanted.
const (
	wantedFlags = 0 // u32: traced, endless
	wantedLooks = 4 // 2 × {form, register, register of the length, 0}: registers as offsets into pt_regs
	wantedSize  = 12

	flagTraced  = 1
	flagEndless = 2
)

// The maps, by the names that the programs use.
const (
	mapGroup   = "group"   // the container's cgroup
	mapThreads = "threads" // task_struct → record
	mapBlank   = "blank"   // an empty record
	mapWanted  = "wanted"  // slot → what is wanted
	mapTotals  = "totals"  // slot → totals, per processor
	mapMissed  = "missed"  // events dropped, calls lost, per processor
	mapBegun   = "begun"   // whether calls count already
	mapEvents  = "events"  // the way to us
)

// On the stack of each program:
const (
	stackTask   = -8
	stackSlot   = -16
	stackWanted = -24 // a pointer into the map
	stackWord   = -32 // for a look at memory
	stackPids   = -40 // struct bpf_pidns_info
)

// R6 to R9 keep their values over calls into the kernel.
const (
	regContext = asm.R6
	regRegs    = asm.R6 // on the way in
	regTook    = asm.R6 // on the way out
	regNumber  = asm.R7
	regResult  = asm.R7
	regSlot    = asm.R8
	regRecord  = asm.R9
)

// A program is what the generators below have in common.
type program struct {
	scope   scope
	events  bool // not only counts
	errors  bool // events only for errors
	waits   bool // for an execve
	first   int  // whose: a process in the first PID namespace's numbers; 0 for any
	writing asm.Instructions
	labels  int
	marked  string // the label of the next instruction
}

func (p *program) add(ins ...asm.Instruction) {
	if p.marked != "" {
		ins[0] = ins[0].WithSymbol(p.marked)
		p.marked = ""
	}
	p.writing = append(p.writing, ins...)
}

// label gives a jump a name that no other has.
func (p *program) label(word string) string {
	p.labels++
	return word + string(rune('0'+p.labels/100)) + string(rune('0'+p.labels/10%10)) + string(rune('0'+p.labels%10))
}

// mark puts a label where the next instruction will be.
func (p *program) mark(label string) {
	if p.marked != "" {
		p.add(asm.Ja.Label(label)) // two labels at one place
	}
	p.marked = label
}

// end is the way out of a program.
func (p *program) end() asm.Instructions {
	p.mark("out")
	p.add(asm.Mov.Imm(asm.R0, 0), asm.Return())
	return p.writing
}

// stackAddress puts the address of something on the stack into a register.
func (p *program) stackAddress(reg asm.Register, offset int16) {
	p.add(asm.Mov.Reg(reg, asm.RFP), asm.Add.Imm(reg, int32(offset)))
}

// lookup leaves the address of a map's value in R0; 0 if there is none.
func (p *program) lookup(name string, key int16) {
	p.add(asm.LoadMapPtr(asm.R1, 0).WithReference(name))
	p.stackAddress(asm.R2, key)
	p.add(asm.FnMapLookupElem.Call())
}

// lookupFirst is lookup with the key 0.
func (p *program) lookupFirst(name string) {
	p.add(asm.StoreImm(asm.RFP, stackWord, 0, asm.Word))
	p.lookup(name, stackWord)
}

// readKernel copies kernel memory: of so many bytes, at an offset from a register, to where R1 points.
func (p *program) readKernel(from asm.Register, offset, bytes int32) {
	p.add(asm.Mov.Imm(asm.R2, bytes), asm.Mov.Reg(asm.R3, from), asm.Add.Imm(asm.R3, offset), asm.FnProbeReadKernel.Call())
}

// increment adds one to 8 bytes. No other program interrupts this one, and each processor has its own totals.
func (p *program) increment(base asm.Register, offset int16) {
	p.add(asm.LoadMem(asm.R1, base, offset, asm.DWord), asm.Add.Imm(asm.R1, 1))
	p.add(asm.StoreMem(base, offset, asm.R1, asm.DWord))
}

// enter is the program of sys_enter.
func (p *program) enter() asm.Instructions {
	p.add(asm.Mov.Reg(regContext, asm.R1))
	p.scope.check(p)
	p.add(
		asm.LoadMem(regNumber, regContext, 8, asm.DWord),
		asm.LoadMem(regRegs, regContext, 0, asm.DWord),
		asm.Mov.Reg32(regSlot, regNumber), // the upper half is gone
	)
	p.findSlot()
	p.add(asm.StoreMem(asm.RFP, stackSlot, regSlot, asm.DWord))
	p.lookup(mapWanted, stackSlot)
	p.add(
		asm.JEq.Imm(asm.R0, 0, "out"),
		asm.StoreMem(asm.RFP, stackWanted, asm.R0, asm.DWord),
		asm.LoadMem(asm.R1, asm.R0, wantedFlags, asm.Word),
		asm.And.Imm(asm.R1, flagTraced), asm.JEq.Imm(asm.R1, 0, "out"),
	)
	p.findRecord()
	p.add(
		asm.Add.Imm(regSlot, 1),
		asm.StoreMem(regRecord, recordSlot, regSlot, asm.Word),
		asm.StoreMem(regRecord, recordNumber, regNumber, asm.Word),
	)
	if p.events {
		p.remember()
	}
	p.add(asm.FnKtimeGetNs.Call(), asm.StoreMem(regRecord, recordStart, asm.R0, asm.DWord))

	// exit and exit_group have no way out: this is all there is to say of them.
	p.add(
		asm.LoadMem(asm.R1, asm.RFP, stackWanted, asm.DWord), asm.LoadMem(asm.R1, asm.R1, wantedFlags, asm.Word),
		asm.And.Imm(asm.R1, flagEndless), asm.JEq.Imm(asm.R1, 0, "out"),
	)
	p.finishEndless()
	return p.end()
}

// findRecord finds the record of the thread, or makes one.
func (p *program) findRecord() {
	have := p.label("have")
	p.add(asm.FnGetCurrentTask.Call(), asm.StoreMem(asm.RFP, stackTask, asm.R0, asm.DWord))
	p.lookup(mapThreads, stackTask)
	p.add(asm.JNE.Imm(asm.R0, 0, have))

	p.lookupFirst(mapBlank)
	p.add(asm.JEq.Imm(asm.R0, 0, "out"), asm.Mov.Reg(asm.R3, asm.R0), asm.LoadMapPtr(asm.R1, 0).WithReference(mapThreads))
	p.stackAddress(asm.R2, stackTask)
	p.add(asm.Mov.Imm(asm.R4, 0), asm.FnMapUpdateElem.Call())
	p.lookup(mapThreads, stackTask)
	p.add(asm.JNE.Imm(asm.R0, 0, have))

	p.lookupFirst(mapMissed) // there is no more room
	p.add(asm.JEq.Imm(asm.R0, 0, "out"))
	p.increment(asm.R0, 8)
	p.add(asm.Ja.Label("out"))

	p.mark(have)
	p.add(asm.Mov.Reg(regRecord, asm.R0))
}

// remember writes into the record what only events have.
func (p *program) remember() {
	p.add(
		asm.FnGetCurrentPidTgid.Call(), asm.StoreMem(regRecord, recordPids, asm.R0, asm.DWord),
		asm.Mov.Imm(asm.R1, 0), asm.StoreMem(regRecord, recordIn, asm.R1, asm.DWord),
		asm.StoreMem(regRecord, recordResult, asm.R1, asm.DWord), asm.StoreMem(regRecord, recordDuration, asm.R1, asm.DWord),
		asm.StoreImm(regRecord, recordEndless, 0, asm.Word), asm.StoreMem(regRecord, recordWhich, regSlot, asm.Word),
		asm.StoreImm(regRecord, recordSizes, -1, asm.Word), asm.StoreImm(regRecord, recordSizes+4, -1, asm.Word),
		asm.Mov.Reg(asm.R1, regRecord), asm.Add.Imm(asm.R1, recordRegs),
	)
	p.readKernel(regRegs, 0, regsRead)
	p.scope.number(p)
	for i := range int16(2) {
		p.look(i)
	}
}

// look reads what one of the arguments points to.
func (p *program) look(i int16) {
	sized, done := p.label("sized"), p.label("done")
	wanted := wantedLooks + 4*i
	p.add(
		asm.LoadMem(asm.R1, asm.RFP, stackWanted, asm.DWord),
		asm.LoadMem(asm.R4, asm.R1, wanted, asm.Byte), // the form
		asm.JEq.Imm(asm.R4, 0, done),
		asm.LoadMem(asm.R2, asm.R1, wanted+2, asm.Byte), // where the length is
	)
	p.register(asm.R5, asm.R1, wanted+1, done) // the address
	p.add(
		asm.JEq.Imm(asm.R5, 0, done),
		asm.Mov.Reg(asm.R3, asm.R5),
		asm.Mov.Reg(asm.R1, regRecord), asm.Add.Imm(asm.R1, recordTexts+pathRoom*int32(i)),
		asm.JNE.Imm(asm.R4, int32(path), sized),
		asm.Mov.Imm(asm.R2, pathRoom), asm.FnProbeReadUserStr.Call(),
		asm.StoreMem(regRecord, recordSizes+4*i, asm.R0, asm.Word),
		asm.Ja.Label(done),
	)
	p.mark(sized)
	short, room := p.label("short"), p.label("room")
	p.add(
		asm.JGT.Imm(asm.R2, regsSize-8, done),
		asm.Mov.Reg(asm.R5, regRecord), asm.Add.Reg(asm.R5, asm.R2),
		asm.LoadMem(asm.R2, asm.R5, recordRegs, asm.DWord),
		asm.JEq.Imm(asm.R4, int32(socket), room),
		asm.JLE.Imm(asm.R2, writtenRoom, short), asm.Mov.Imm(asm.R2, writtenRoom), asm.Ja.Label(short),
	)
	p.mark(room)
	p.add(asm.JLE.Imm(asm.R2, socketRoom, short), asm.Mov.Imm(asm.R2, socketRoom))
	p.mark(short)
	p.add(
		asm.StoreMem(asm.RFP, stackWord, asm.R2, asm.DWord),
		asm.FnProbeReadUser.Call(),
		asm.JNE.Imm(asm.R0, 0, done),
		asm.LoadMem(asm.R2, asm.RFP, stackWord, asm.DWord),
		asm.StoreMem(regRecord, recordSizes+4*i, asm.R2, asm.Word),
	)
	p.mark(done)
}

// register reads the saved register whose offset is a byte of what is wanted.
func (p *program) register(to, wanted asm.Register, at int16, otherwise string) {
	p.add(
		asm.LoadMem(asm.R3, wanted, at, asm.Byte), asm.JGT.Imm(asm.R3, regsSize-8, otherwise),
		asm.Mov.Reg(to, regRecord), asm.Add.Reg(to, asm.R3), asm.LoadMem(to, to, recordRegs, asm.DWord),
	)
}

// leave is the program of sys_exit.
func (p *program) leave() asm.Instructions {
	p.add(asm.LoadMem(regResult, asm.R1, 8, asm.DWord))
	p.openRecord()
	p.unlessBegun("out")
	p.add(
		asm.FnKtimeGetNs.Call(), asm.Mov.Reg(regTook, asm.R0),
		asm.LoadMem(asm.R1, regRecord, recordStart, asm.DWord), asm.Sub.Reg(regTook, asm.R1),
	)
	p.count()
	if p.events {
		p.add(
			asm.StoreMem(regRecord, recordResult, regResult, asm.DWord),
			asm.StoreMem(regRecord, recordDuration, regTook, asm.DWord),
		)
		if p.errors {
			p.unlessError("out")
		}
		p.pass()
	}
	return p.end()
}

// openRecord finds the record of the call that the thread is in, and closes it: the slot is in its register, and on
// the stack, and the thread is outside.
func (p *program) openRecord() {
	p.add(asm.FnGetCurrentTask.Call(), asm.StoreMem(asm.RFP, stackTask, asm.R0, asm.DWord))
	p.lookup(mapThreads, stackTask)
	p.add(
		asm.JEq.Imm(asm.R0, 0, "out"), asm.Mov.Reg(regRecord, asm.R0),
		asm.LoadMem(regSlot, regRecord, recordSlot, asm.Word), asm.JEq.Imm(regSlot, 0, "out"),
		asm.StoreImm(regRecord, recordSlot, 0, asm.Word),
		asm.Sub.Imm(regSlot, 1), asm.StoreMem(asm.RFP, stackSlot, regSlot, asm.DWord),
	)
}

// exec is the program of sched_process_exec: an execve has succeeded, and is about to come back. Which calls are wanted
// does not matter here: execve may not be among them.
func (p *program) exec() asm.Instructions {
	p.scope.check(p)
	if p.first != 0 {
		p.add(asm.FnGetCurrentPidTgid.Call(), asm.RSh.Imm(asm.R0, 32), asm.JNE.Imm(asm.R0, int32(p.first), "out"))
	}
	p.lookupFirst(mapBegun)
	p.add(asm.JEq.Imm(asm.R0, 0, "out"), asm.Mov.Imm(asm.R1, 1), asm.StoreMem(asm.R0, 0, asm.R1, asm.DWord))
	return p.end()
}

// unlessBegun jumps if the command has not begun that the program waits for.
func (p *program) unlessBegun(to string) {
	if p.waits {
		p.lookupFirst(mapBegun)
		p.add(asm.JEq.Imm(asm.R0, 0, to), asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord), asm.JEq.Imm(asm.R1, 0, to))
	}
}

// count adds the call to the totals.
func (p *program) count() {
	good := p.label("good")
	p.lookup(mapTotals, stackSlot)
	p.add(asm.JEq.Imm(asm.R0, 0, "out"))
	p.increment(asm.R0, totalCalls)
	p.unlessError(good)
	p.increment(asm.R0, totalErrors)
	p.mark(good)
	p.add(
		asm.LoadMem(asm.R1, asm.R0, totalTime, asm.DWord), asm.Add.Reg(asm.R1, regTook),
		asm.StoreMem(asm.R0, totalTime, asm.R1, asm.DWord),
	)
	p.logarithm()
	p.add(asm.LSh.Imm(asm.R2, 3), asm.Add.Reg(asm.R0, asm.R2))
	p.increment(asm.R0, totalLatency)
}

// unlessError jumps if the result is not one of -4095 to -1.
func (p *program) unlessError(to string) {
	p.add(asm.JSGE.Imm(regResult, 0, to), asm.JSLT.Imm(regResult, -4095, to))
}

// logarithm leaves in R2 the place of the duration in the histogram: it halves the bits in which the highest one is.
func (p *program) logarithm() {
	last := p.label("last")
	p.add(asm.Mov.Reg(asm.R1, regTook), asm.Mov.Imm(asm.R2, 0))
	for bits := int32(32); bits > 0; bits /= 2 {
		low := p.label("low")
		p.add(
			asm.Mov.Reg(asm.R3, asm.R1), asm.RSh.Imm(asm.R3, bits), asm.JEq.Imm(asm.R3, 0, low),
			asm.Mov.Reg(asm.R1, asm.R3), asm.Add.Imm(asm.R2, bits),
		)
		p.mark(low)
	}
	top := int32(len(Histogram{}) - 1)
	p.add(asm.JLE.Imm(asm.R2, top, last), asm.Mov.Imm(asm.R2, top))
	p.mark(last)
}

// pass hands the record to the reader, without the room for texts if there are none; what does not fit is counted.
func (p *program) pass() {
	bare, sent := p.label("bare"), p.label("sent")
	p.add(
		asm.LoadMapPtr(asm.R1, 0).WithReference(mapEvents), asm.Mov.Reg(asm.R2, regRecord), asm.Mov.Imm(asm.R4, 0),
		asm.Mov.Imm(asm.R3, recordTexts),
		asm.LoadMem(asm.R5, regRecord, recordSizes, asm.Word), asm.JEq.Imm32(asm.R5, -1, bare),
		asm.Mov.Imm(asm.R3, recordTexts+pathRoom),
		asm.LoadMem(asm.R5, regRecord, recordSizes+4, asm.Word), asm.JEq.Imm32(asm.R5, -1, bare),
		asm.Mov.Imm(asm.R3, recordSize),
	)
	p.mark(bare)
	p.add(asm.FnRingbufOutput.Call(), asm.JEq.Imm(asm.R0, 0, sent))
	p.lookupFirst(mapMissed)
	p.add(asm.JEq.Imm(asm.R0, 0, sent))
	p.increment(asm.R0, 0)
	p.mark(sent)
}

// finishEndless counts a call that does not come back, and passes it on.
func (p *program) finishEndless() {
	p.add(asm.StoreImm(regRecord, recordSlot, 0, asm.Word))
	p.unlessBegun("out")
	p.lookup(mapTotals, stackSlot)
	p.add(asm.JEq.Imm(asm.R0, 0, "out"))
	p.increment(asm.R0, totalCalls)
	p.increment(asm.R0, totalEndless)
	if p.events && !p.errors {
		p.add(asm.StoreImm(regRecord, recordEndless, 1, asm.Word))
		p.pass()
	}
}

// die is the program of sched_process_exit: the thread itself runs it.
func (p *program) die() asm.Instructions {
	forget := "forget"
	p.add(asm.FnGetCurrentTask.Call(), asm.StoreMem(asm.RFP, stackTask, asm.R0, asm.DWord))
	p.lookup(mapThreads, stackTask)
	p.add(
		asm.JEq.Imm(asm.R0, 0, "out"), asm.Mov.Reg(regRecord, asm.R0),
		asm.LoadMem(regSlot, regRecord, recordSlot, asm.Word), asm.JEq.Imm(regSlot, 0, forget),
		asm.Sub.Imm(regSlot, 1), asm.StoreMem(asm.RFP, stackSlot, regSlot, asm.DWord),
	)
	p.finishEndless()
	p.mark(forget)
	p.add(asm.LoadMapPtr(asm.R1, 0).WithReference(mapThreads))
	p.stackAddress(asm.R2, stackTask)
	p.add(asm.FnMapDeleteElem.Call())
	return p.end()
}
