//! The one configuration of wasmtime, for whoever compiles and whoever runs.

use crate::INSTANCES;
use std::hash::{Hash, Hasher};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OperatorCost, OptLevel, PoolingAllocationConfig,
    VariableOperatorCost,
};

/// Linear memory of an instance, in bytes.
pub(crate) const MAX_MEMORY: usize = 32 << 20;
/// Elements of a table.
pub(crate) const MAX_TABLE: usize = 10_000;
/// Tables of a module.
pub(crate) const MAX_TABLES: u32 = 4;
/// Stack of a call, in bytes.
const STACK: usize = 512 << 10;
/// What an instance keeps of its memory for the next one, in bytes: setting it to zero is cheaper than asking the system.
const KEEP_RESIDENT: usize = 2 << 20;
/// What the runtime keeps of a module in each instance (functions, globals), in bytes.
const MAX_INSTANCE: usize = 4 << 20;
/// What an instruction costs that calls into the runtime.
const CALL: u8 = 20;
/// What one costs that makes it look for something or ask for memory, and a page of that.
const SLOW: u8 = u8::MAX;
/// Instances beyond those of requests: settings are validated by one while requests are judged.
const SPARE: usize = 2;

/// An engine that compiles. It can run nothing: it reserves no memory for instances, so that it fits into the limits of
/// the process that it is for.
pub(crate) fn compiling() -> wasmtime::Result<Engine> {
    Engine::new(&config())
}

/// An engine that runs what the other one compiled: the one of a [`Host`](crate::Host), for whoever measures it.
///
/// # Errors
/// There is no address space for its instances.
pub fn running() -> wasmtime::Result<Engine> {
    let instances = u32::try_from(INSTANCES + SPARE).unwrap_or(u32::MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(instances)
        .total_memories(instances)
        .total_tables(instances * MAX_TABLES)
        .max_core_instance_size(MAX_INSTANCE)
        .max_memory_size(MAX_MEMORY)
        .max_tables_per_module(MAX_TABLES)
        .table_elements(MAX_TABLE)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .pagemap_scan(Enabled::Auto);
    let mut config = config();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config)
}

fn config() -> Config {
    let mut config = Config::new();
    config
        // The same instructions on every machine: whether a module takes too long must not depend on how fast one is.
        .consume_fuel(true)
        .operator_cost(costs())
        .max_wasm_stack(STACK)
        .cranelift_opt_level(OptLevel::Speed)
        // A verdict can be replayed: what the standard leaves to the processor is settled here.
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_backtrace_max_frames(None)
        // Nobody looks into what is compiled.
        .generate_address_map(false);
    config
}

/// What instructions cost: one each, but for those that call into the runtime, which take as long as dozens of others
/// even where there is nothing to do, and what these do by the byte, element or page.
fn costs() -> OperatorCost {
    OperatorCost {
        MemoryGrow: SLOW,
        TableGrow: SLOW,
        TableInit: SLOW,
        ElemDrop: SLOW,
        RefFunc: SLOW,
        DataDrop: CALL,
        MemoryCopy: CALL,
        MemoryFill: CALL,
        MemoryInit: CALL,
        TableCopy: CALL,
        TableFill: CALL,
        variable: VariableOperatorCost { memory_grow_per_page: SLOW, ..VariableOperatorCost::default() },
        ..OperatorCost::default()
    }
}

/// What an engine makes of modules, as a number: what another version of this program, or another processor, compiled
/// is of no use.
pub(crate) fn compatibility(engine: &Engine) -> u64 {
    // Only ever compared with what the same program computed.
    let mut hasher = std::hash::DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_engine_compiles_the_other_can_run() {
        let (compiling, running) = (compiling().unwrap(), running().unwrap());
        assert_eq!(compatibility(&compiling), compatibility(&running));
    }
}
