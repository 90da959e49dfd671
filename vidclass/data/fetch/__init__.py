"""Getting published data sets on connected machines: download, checksum, safe unpacking.

``sources`` says what there is, ``download`` brings one file, ``unpack`` takes an archive apart,
``run`` does all of it and remembers what is done.
"""
