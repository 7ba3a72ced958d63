package main

import (
	"os"
	"unsafe"
)

// What was handed over stays where it is as long as the call, which has an instance of its own.
var texts = map[uint32][]byte{}

//go:wasmimport portcullis log
func hostLog(level int32, text unsafe.Pointer, length uint32)

//go:wasmimport portcullis lookup
func hostLookup(name unsafe.Pointer, length uint32) uint64

//go:wasmexport portcullis_abi_v1
func abi() {}

//go:wasmexport portcullis_alloc
func allocate(size uint32) uint32 {
	return keep(make([]byte, size))
}

//go:wasmexport portcullis_validate
func validate(request, requestLength, settings, settingsLength uint32) uint64 {
	return reply(judge(texts[request][:requestLength], texts[settings][:settingsLength], lookUp))
}

//go:wasmexport portcullis_validate_settings
func validateSettings(settings, length uint32) uint64 {
	return reply(judgeSettings(texts[settings][:length]))
}

// keep gives the address of a text, which is not to be moved or forgotten.
func keep(text []byte) uint32 {
	if cap(text) == 0 {
		text = make([]byte, 0, 1)
	}
	address := uint32(uintptr(unsafe.Pointer(unsafe.SliceData(text))))
	texts[address] = text
	return address
}

// reply gives where a reply is. What cannot be decided is told as the reason, and the policy's failurePolicy counts; a
// panic does the same.
func reply(text []byte, err error) uint64 {
	if err != nil {
		reason := err.Error()
		hostLog(1, unsafe.Pointer(unsafe.StringData(reason)), uint32(len(reason)))
		os.Exit(1)
	}
	return uint64(keep(text))<<32 | uint64(len(text))
}

func lookUp(name string) []byte {
	packed := hostLookup(unsafe.Pointer(unsafe.StringData(name)), uint32(len(name)))
	return texts[uint32(packed>>32)][:uint32(packed)]
}
