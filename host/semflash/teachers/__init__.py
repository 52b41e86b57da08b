"""Answers of a large teacher, asked once and stored: what a student learns from, without the teacher.

Reading a store (:mod:`.store`) takes numpy alone. The teachers themselves (:mod:`.lite0`,
:mod:`.onnx_teacher`, :mod:`.keras_teacher`) are imported where one is asked, and nowhere else.
"""
