// SPDX-License-Identifier: MIT
// Who this program is. identity.cpp is rendered, so that a new build id recompiles this one file.
#pragma once

namespace danas::identity {

extern const char board[];     // "nucleo_f746zg"
extern const char build_id[];  // 16 hexadecimal digits over everything the program is made of
extern const char model_hash[];  // SHA-256 of the .tflite, 64 hexadecimal digits
extern const unsigned char db_flip;  // what `db` changes in each byte: 0x80 makes int8 of a pixel's 0 to 255, 0 nothing
extern const char model_id[];  // MLPerf Tiny's model id, or the first 8 digits of the hash

}  // namespace danas::identity
