;; Broken: asks for a look-up when it is asked about settings.
(module
  (import "portcullis" "lookup" (func $lookup (param i32 i32) (result i64)))
  (memory (export "memory") 1)
  (func (export "portcullis_abi_v1"))
  (global $next (mut i32) (i32.const 4096))
  (func $alloc (export "portcullis_alloc") (param i32) (result i32)
    global.get $next
    (global.set $next (i32.add (global.get $next) (local.get 0))))
  (data (i32.const 64) "numbers")
  (data (i32.const 32) "{\"violations\":[]}")
  (func (export "portcullis_validate") (param i32 i32 i32 i32) (result i64)
    (i64.const 0x00000020_00000011))
  (func (export "portcullis_validate_settings") (param i32 i32) (result i64)
    (call $lookup (i32.const 64) (i32.const 7))))
