//go:build linux

package network

import (
	"encoding/binary"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// A rule is a list of expressions, each a small instruction: it loads a part of a packet into a register, compares
// one with a value or looks it up in a set, or decides. The first that does not match ends the rule. These are the
// words of our rules, each with what nft(8) calls it.
//
// Registers are four bytes each from firstRegister on; what is looked up together lies there one behind the other.
const firstRegister = unix.NFT_REG32_00

// link is: iifname @set, or oifname @set.
func link(key expr.MetaKey, set *nftables.Set) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: key, Register: firstRegister},
		&expr.Lookup{SourceRegister: firstRegister, SetName: set.Name, SetID: set.ID},
	}
}

// notLink is: oifname != @set.
func notLink(key expr.MetaKey, set *nftables.Set) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: key, Register: firstRegister},
		&expr.Lookup{SourceRegister: firstRegister, SetName: set.Name, SetID: set.ID, Invert: true},
	}
}

// links is: iifname . oifname vmap @set. A name takes 16 bytes.
func links(set *nftables.Set) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: firstRegister},
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: firstRegister + 4},
		&expr.Lookup{SourceRegister: firstRegister, DestRegister: unix.NFT_REG_VERDICT, IsDestRegSet: true, SetName: set.Name, SetID: set.ID},
	}
}

// only is: meta nfproto ipv4.
func (f *family) only() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: firstRegister},
		&expr.Cmp{Op: expr.CmpOpEq, Register: firstRegister, Data: []byte{f.protocol}},
	}
}

// loop is: ip daddr 127.0.0.0/8, or ip saddr.
func (f *family) loop(offset uint32) []expr.Any {
	bytes := f.loopback.Addr().AsSlice()[:f.loopback.Bits()/8]
	return []expr.Any{
		&expr.Payload{DestRegister: firstRegister, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(len(bytes))},
		&expr.Cmp{Op: expr.CmpOpEq, Register: firstRegister, Data: bytes},
	}
}

// address loads: ip daddr.
func (f *family) address(offset uint32) []expr.Any {
	return []expr.Any{&expr.Payload{DestRegister: firstRegister, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: f.bytes}}
}

// afterAddress is the register behind it.
func (f *family) afterAddress() uint32 { return firstRegister + f.bytes/4 }

// from is: ip saddr @set.
func (f *family) from(set *nftables.Set) []expr.Any {
	return append(f.address(f.source), &expr.Lookup{SourceRegister: firstRegister, SetName: set.Name, SetID: set.ID})
}

// to is: ip daddr @set.
func (f *family) to(set *nftables.Set) []expr.Any {
	return append(f.address(f.destination), &expr.Lookup{SourceRegister: firstRegister, SetName: set.Name, SetID: set.ID})
}

// notTo is: ip daddr != @set.
func (f *family) notTo(set *nftables.Set) []expr.Any {
	return append(f.address(f.destination),
		&expr.Lookup{SourceRegister: firstRegister, SetName: set.Name, SetID: set.ID, Invert: true})
}

// service loads: meta l4proto . th dport.
func service(register uint32) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register},
		&expr.Payload{DestRegister: register + 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
	}
}

// local is: fib daddr type local.
func local() []expr.Any {
	return []expr.Any{
		&expr.Fib{Register: firstRegister, FlagDADDR: true, ResultADDRTYPE: true},
		&expr.Cmp{Op: expr.CmpOpEq, Register: firstRegister, Data: binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)},
	}
}

// lead is: dnat ip to ... map @set, of what has been loaded.
func (f *family) lead(set *nftables.Set) []expr.Any {
	return []expr.Any{
		&expr.Lookup{SourceRegister: firstRegister, DestRegister: firstRegister, IsDestRegSet: true, SetName: set.Name, SetID: set.ID},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: uint32(f.protocol), RegAddrMin: firstRegister, RegProtoMin: f.afterAddress(), Specified: true},
	}
}

// led is: ct status dnat.
func led() []expr.Any {
	const IPS_DST_NAT = 1 << 5 //nolint:revive // the kernel's name
	return bits(expr.CtKeySTATUS, IPS_DST_NAT)
}

// answers is: ct state established,related.
func answers() []expr.Any {
	return bits(expr.CtKeySTATE, expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED)
}

func bits(key expr.CtKey, mask uint32) []expr.Any {
	zero := make([]byte, 4)
	return []expr.Any{
		&expr.Ct{Register: firstRegister, Key: key},
		&expr.Bitwise{SourceRegister: firstRegister, DestRegister: firstRegister, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(mask), Xor: zero},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: firstRegister, Data: zero},
	}
}

// untracked is: notrack.
func untracked() []expr.Any { return []expr.Any{&expr.Notrack{}} }

func masquerade() []expr.Any { return []expr.Any{&expr.Masq{}} }

func verdict(kind expr.VerdictKind) []expr.Any { return []expr.Any{&expr.Verdict{Kind: kind}} }

// goes is: goto chain.
func goes(chain *nftables.Chain) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictGoto, Chain: chain.Name}}
}

// ifname is a link's name as a set has it.
func ifname(name string) []byte {
	key := make([]byte, unix.IFNAMSIZ)
	copy(key, name)
	return key
}

// slot pads a value to whole registers.
func slot(value ...byte) []byte {
	for len(value)%4 != 0 {
		value = append(value, 0)
	}
	return value
}

func slot16(value uint16) []byte { return slot(binary.BigEndian.AppendUint16(nil, value)...) }
