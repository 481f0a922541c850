//! The field numbers of an ONNX file's messages, by their names in its schema (onnx.proto), as far as
//! files are read or written here.
#![cfg_attr(
    not(all(feature = "ort", feature = "training")),
    allow(dead_code, reason = "one feature reads files, the other writes them")
)]

/// `ModelProto`, the file.
pub mod model {
    pub const IR_VERSION: u64 = 1;
    pub const PRODUCER_NAME: u64 = 2;
    pub const PRODUCER_VERSION: u64 = 3;
    pub const GRAPH: u64 = 7;
    pub const OPSET_IMPORT: u64 = 8;
    pub const METADATA_PROPS: u64 = 14;
    pub const TRAINING_INFO: u64 = 20;
    pub const FUNCTIONS: u64 = 25;
}

/// `OperatorSetIdProto`.
pub mod opset {
    pub const DOMAIN: u64 = 1;
    pub const VERSION: u64 = 2;
}

/// `StringStringEntryProto`.
pub mod entry {
    pub const KEY: u64 = 1;
    pub const VALUE: u64 = 2;
}

/// `TrainingInfoProto`.
pub mod training_info {
    pub const INITIALIZATION: u64 = 1;
    pub const ALGORITHM: u64 = 2;
}

/// `GraphProto`.
pub mod graph {
    pub const NODE: u64 = 1;
    pub const NAME: u64 = 2;
    pub const INITIALIZER: u64 = 5;
    pub const INPUT: u64 = 11;
    pub const OUTPUT: u64 = 12;
    pub const SPARSE_INITIALIZER: u64 = 15;
}

/// `ValueInfoProto`.
pub mod value_info {
    pub const NAME: u64 = 1;
    pub const TYPE: u64 = 2;
}

/// `TypeProto`, and its `Tensor`.
pub mod tensor_type {
    pub const TENSOR_TYPE: u64 = 1;
    pub const ELEM_TYPE: u64 = 1;
    pub const SHAPE: u64 = 2;
}

/// `TensorShapeProto`, and its `Dimension`.
pub mod shape {
    pub const DIM: u64 = 1;
    pub const DIM_VALUE: u64 = 1;
    pub const DIM_PARAM: u64 = 2;
}

/// `NodeProto`.
pub mod node {
    pub const INPUT: u64 = 1;
    pub const OUTPUT: u64 = 2;
    pub const NAME: u64 = 3;
    pub const OP_TYPE: u64 = 4;
    pub const ATTRIBUTE: u64 = 5;
}

/// `AttributeProto`.
pub mod attribute {
    pub const NAME: u64 = 1;
    pub const F: u64 = 2;
    pub const I: u64 = 3;
    pub const T: u64 = 5;
    pub const G: u64 = 6;
    pub const INTS: u64 = 8;
    pub const TENSORS: u64 = 10;
    pub const GRAPHS: u64 = 11;
    pub const TYPE: u64 = 20;
    pub const SPARSE_TENSOR: u64 = 22;
    pub const SPARSE_TENSORS: u64 = 23;
}

/// `AttributeProto.AttributeType`.
pub mod attribute_type {
    pub const FLOAT: i64 = 1;
    pub const INT: i64 = 2;
    pub const INTS: i64 = 7;
}

/// `TensorProto`.
pub mod tensor {
    pub const DIMS: u64 = 1;
    pub const DATA_TYPE: u64 = 2;
    pub const NAME: u64 = 8;
    pub const RAW_DATA: u64 = 9;
    pub const EXTERNAL_DATA: u64 = 13;
    pub const DATA_LOCATION: u64 = 14;
}

/// `TensorProto.DataType`.
pub mod data_type {
    pub const FLOAT: i64 = 1;
    pub const INT64: i64 = 7;
}

/// `TensorProto.DataLocation`.
pub mod data_location {
    pub const EXTERNAL: u64 = 1;
}

/// `SparseTensorProto`.
pub mod sparse_tensor {
    pub const VALUES: u64 = 1;
    pub const INDICES: u64 = 2;
}
