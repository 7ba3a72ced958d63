;; Broken: exits.
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (func (export "portcullis_abi_v1"))
  (global $next (mut i32) (i32.const 4096))
  (func $alloc (export "portcullis_alloc") (param i32) (result i32)
    global.get $next
    (global.set $next (i32.add (global.get $next) (local.get 0))))
  (data (i32.const 32) "{\"violations\":[]}")
  (func (export "portcullis_validate") (param i32 i32 i32 i32) (result i64)
    (call $proc_exit (i32.const 0))
    (i64.const 0x00000020_00000011))
  (data (i32.const 16) "{\"errors\":[]}")
  (func (export "portcullis_validate_settings") (param i32 i32) (result i64)
    (i64.const 0x00000010_0000000D)))
