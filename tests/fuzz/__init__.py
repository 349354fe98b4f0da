"""Whatever the bytes: every scanner answers or refuses in its own words, soon, and within little memory.

    targets    one function for each scanner, that takes bytes
    seeds      what each begins with, by our own writers
    one        a target under atheris, which is guided by the code that an input reaches
    __main__   each for a while: `make fuzz`
    found      inputs that once did harm; the usual tests try them for good

The usual tests run each target over its seeds and over what was found, without atheris.
"""
