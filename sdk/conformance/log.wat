;; A module may log at any level, and more than is written.
(module
  (import "portcullis" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 1)
  (func (export "portcullis_abi_v1"))
  (global $next (mut i32) (i32.const 1024))
  (func (export "portcullis_alloc") (param i32) (result i32)
    global.get $next
    (global.set $next (i32.add (global.get $next) (local.get 0))))
  (data (i32.const 32) "{\"violations\":[]}")
  (func (export "portcullis_validate") (param i32 i32 i32 i32) (result i64)
    (local $n i32)
    (loop
      (call $log (i32.sub (local.get $n) (i32.const 1)) (i32.const 512) (i32.const 6))
      (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 50))))
    (call $log (i32.const 3) (i32.const 0) (i32.const 65536))
    (i64.const 0x00000020_00000011))
  (data (i32.const 16) "{\"errors\":[]}")
  (func (export "portcullis_validate_settings") (param i32 i32) (result i64)
    (i64.const 0x00000010_0000000D))
  (data (i32.const 512) "a line"))
