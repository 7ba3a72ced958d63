;; Broken: writes to standard output without end.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "portcullis_abi_v1"))
  (global $next (mut i32) (i32.const 4096))
  (func $alloc (export "portcullis_alloc") (param i32) (result i32)
    global.get $next
    (global.set $next (i32.add (global.get $next) (local.get 0))))
  (data (i32.const 160) "\00\00\00\00\00\00\01\00")
  (func (export "portcullis_validate") (param i32 i32 i32 i32) (result i64)
    (loop (drop (call $fd_write (i32.const 1) (i32.const 160) (i32.const 1) (i32.const 168))) (br 0))
    (i64.const 0))
  (data (i32.const 16) "{\"errors\":[]}")
  (func (export "portcullis_validate_settings") (param i32 i32) (result i64)
    (i64.const 0x00000010_0000000D)))
