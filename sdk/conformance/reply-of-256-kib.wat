;; A reply may have 256 KiB, and be anywhere in memory.
(module
  (memory (export "memory") 5)
  (func (export "portcullis_abi_v1"))
  (global $next (mut i32) (i32.const 1024))
  (func (export "portcullis_alloc") (param i32) (result i32)
    global.get $next
    (global.set $next (i32.add (global.get $next) (local.get 0))))
  (data (i32.const 65536) "{\"violations\":[]}")
  (func (export "portcullis_validate") (param i32 i32 i32 i32) (result i64)
    (memory.fill (i32.const 65553) (i32.const 0x20) (i32.const 262127))
    (i64.const 0x00010000_00040000))
  (data (i32.const 16) "{\"errors\":[]}")
  (func (export "portcullis_validate_settings") (param i32 i32) (result i64)
    (i64.const 0x00000010_0000000D)))
