// What a refused call becomes: an error with the library's own sentence.
// SPDX-License-Identifier: MIT

const CODES = {
  "-1": "SA_ERR_ARGUMENT",
  "-2": "SA_ERR_CONFIG",
  "-3": "SA_ERR_STRUCT_SIZE",
  "-4": "SA_ERR_MEMORY",
  "-5": "SA_ERR_BUFFER",
  "-6": "SA_ERR_ALIGNMENT",
  "-7": "SA_ERR_ISA",
  "-8": "SA_ERR_FORMAT",
  "-9": "SA_ERR_STATE",
  "-10": "SA_ERR_OVERFLOW",
  "-11": "SA_ERR_FULL",
  "-12": "SA_ERR_DEPTH",
  "-13": "SA_ERR_POOL",
};

export class SinkattnError extends Error {
  /**
   * @param {number} status
   * @param {string} sentence
   * @param {{layer?: number, index?: number}} [where]
   */
  constructor(status, sentence, where = {}) {
    super(sentence);
    this.name = "SinkattnError";
    this.status = status;
    this.code = CODES[status] ?? "SA_ERR_UNKNOWN";
    this.layer = where.layer;
    this.index = where.index;
  }
}

export const statusCodes = CODES;
