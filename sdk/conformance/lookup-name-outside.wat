;; Broken: asks for a look-up whose name is longer than its memory.
(module
  (import "portcullis" "lookup" (func $lookup (param i32 i32) (result i64)))
  (memory (export "memory") 1)
  (func (export "portcullis_abi_v1"))
  (global $next (mut i32) (i32.const 4096))
  (func $alloc (export "portcullis_alloc") (param i32) (result i32)
    global.get $next
    (global.set $next (i32.add (global.get $next) (local.get 0))))
  (func (export "portcullis_validate") (param i32 i32 i32 i32) (result i64)
    (call $lookup (i32.const 64) (i32.const -1)))
  (data (i32.const 16) "{\"errors\":[]}")
  (func (export "portcullis_validate_settings") (param i32 i32) (result i64)
    (i64.const 0x00000010_0000000D)))
