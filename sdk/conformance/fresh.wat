;; Every call has an instance of its own. Each is spoilt by the first call; a second one would trap.
(module
  (memory (export "memory") 1)
  (func (export "portcullis_abi_v1"))
  (global $next (mut i32) (i32.const 1024))
  (func (export "portcullis_alloc") (param i32) (result i32)
    global.get $next
    (global.set $next (i32.add (global.get $next) (local.get 0))))
  (data (i32.const 32) "{\"violations\":[]}")
  (func (export "portcullis_validate") (param i32 i32 i32 i32) (result i64)
    (if (i32.or (global.get $used) (i32.load (i32.const 512))) (then unreachable))
    (global.set $used (i32.const 1))
    (i32.store (i32.const 512) (i32.const 1))
    (i64.const 0x00000020_00000011))
  (data (i32.const 16) "{\"errors\":[]}")
  (func (export "portcullis_validate_settings") (param i32 i32) (result i64)
    (i64.const 0x00000010_0000000D))
  (global $used (mut i32) (i32.const 0)))
