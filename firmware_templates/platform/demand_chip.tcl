# SPDX-License-Identifier: MIT
# Which chip is behind the probe, asked before anything is programmed. OpenOCD 0.12 or later (read_memory).
#
#   address   of DBGMCU_IDCODE
#   wanted    its DEV_ID field, bits 11 to 0
#
# What it echoes is read by pipeline/device/openocd.py.
proc danas_demand_chip {address wanted} {
    init
    set found [expr {[read_memory $address 32 1] & 0xfff}]
    if {$found != $wanted} {
        echo [format "** danas: chip 0x%03x, wanted 0x%03x **" $found $wanted]
        error "another chip than the program is for"
    }
    echo [format "** danas: chip 0x%03x **" $found]
}
