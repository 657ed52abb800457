// Rows for an ONNX model, which no Python reads: the tensors of an inference request, as the HTTP door takes them.

import Catalogue
package import Contract
import Files

/// `{"inputs": [{"name": "X", "datatype": "FP32", "shape": [2, 4], "data": [...]}]}`.
package enum RowsFile {
    private static let byteCountMax = 64 << 20

    /// Throws what is wrong with the file.
    package static func tensors(_ path: String) throws -> [Tensor] {
        guard let json = try OpenFile(path: path).readAll(byteCountMax: byteCountMax) else {
            throw ModelFault("the rows have more than \(byteCountMax) bytes")
        }
        do {
            return try WorkshopJSON.decode(GoldenCase.self, from: json).inputs
        } catch {
            throw ModelFault(
                "the rows of an ONNX model are JSON, {\"inputs\": [{\"name\", \"datatype\", \"shape\", \"data\"}], "
                    + "\"outputs\": []}, as in an inference request: \(error)")
        }
    }
}
