"""What a DHCP server has to tell phones, and the lines that make it do so."""
