;; Broken in every way: exports nothing, and imports what there is not.
(module
  (import "env" "abort" (func))
  (import "env" "now" (func (result i64))))
